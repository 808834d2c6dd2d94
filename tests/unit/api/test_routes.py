"""No route is open by accident."""

import re

import pytest
from fastapi.routing import iter_route_contexts

from api.access import GuardedRoute
from api.app import create_app
from jobs.settings import read_settings

#: What everybody may see.
OPEN = {"/healthz", "/readyz", "/metrics", "/docs", "/openapi.json"}
#: Opened by the ticket of one upload.
OPEN |= {"/v1/assets/{asset_id}/content"}
#: Files that everybody may have; what they show is asked for with a key.
OPEN |= {"/", "/dashboard/{name}"}


APP = create_app(read_settings(_env_file=None))
ROUTES = [(context.path, context.original_route) for context in iter_route_contexts(APP.routes)]


def test_the_walk_finds_routes() -> None:
    assert {path for path, _ in ROUTES} >= OPEN


@pytest.mark.parametrize(("path", "route"), ROUTES, ids=lambda item: str(item)[:40])
def test_a_route_asks_for_a_scope_or_is_known_to_be_open(path: str, route: object) -> None:
    is_guarded = isinstance(route, GuardedRoute)

    assert is_guarded != (path in OPEN)


def test_every_guarded_route_is_documented_with_its_key() -> None:
    document = APP.openapi()
    guarded = {path for path, route in ROUTES if isinstance(route, GuardedRoute)}

    for path in guarded:
        for operation in document["paths"][re.sub(":[a-z_]+}", "}", path)].values():
            assert operation["security"] == [{"key": []}]
