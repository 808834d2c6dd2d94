"""Which methods an address takes, over all routers: the framework names only those of the first."""

import re
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import compile_path

Methods = Sequence[tuple[re.Pattern[str], frozenset[str]]]


def methods_of(app: FastAPI) -> Methods:
    """Every address of the application with its methods."""
    found = []
    for context in iter_route_contexts(app.routes):
        route: Any = context.original_route
        if context.path is not None:
            found.append((compile_path(context.path)[0], frozenset(route.methods)))
    return found


def allowed(methods: Methods, path: str) -> str:
    """The value of the header `allow`."""
    fitting = (names for pattern, names in methods if pattern.match(path))
    return ", ".join(sorted(frozenset[str]().union(*fitting)))
