"""Every address that Stability documents is one of ours."""

import pytest
from fastapi.routing import iter_route_contexts

from api.app import create_app
from jobs.settings import read_settings
from tests.test_catalog import NEWEST_FIRST, document

ROUTES = {
    (method, context.path.removeprefix("/stability"))
    for context in iter_route_contexts(create_app(read_settings(_env_file=None)).routes)
    if context.path.startswith("/stability/")
    for method in getattr(context.original_route, "methods", ())
}


@pytest.mark.parametrize("name", NEWEST_FIRST)
def test_a_documented_address_is_served(name: str) -> None:
    documented = {
        (method.upper(), path)
        for path, methods in document(name)["paths"].items()
        for method in methods
        if method in {"get", "post"}
    }

    assert documented
    assert documented - ROUTES == set()
