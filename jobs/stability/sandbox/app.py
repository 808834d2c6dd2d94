"""The sandbox as an ASGI application, its addresses made from the catalog."""

from collections.abc import Iterable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from jobs.catalog.operation import ANY_RESULT, Operation
from jobs.stability.sandbox.account import ROUTES as ACCOUNT_ROUTES
from jobs.stability.sandbox.collection import Collection
from jobs.stability.sandbox.control import Control
from jobs.stability.sandbox.gate import Gate
from jobs.stability.sandbox.generation import Generation
from jobs.stability.sandbox.problems import problem
from jobs.stability.sandbox.stage import Stage


def create_app(stage: Stage, operations: Iterable[Operation]) -> Starlette:
    """Build the application."""
    operations = tuple(operations)
    collection = Collection(stage)
    return Starlette(
        routes=[
            *(Route(o.path, Generation(stage, o).serve, methods=["POST"]) for o in operations),
            *(Route(path, collection.serve) for path in result_paths(operations)),
            *ACCOUNT_ROUTES,
            *Control(stage).routes(),
        ],
        middleware=[Middleware(Gate, stage=stage)],
        exception_handlers={HTTPException: unknown_address},
    )


def result_paths(operations: Iterable[Operation]) -> list[str]:
    """Where results are fetched: the common address, and each operation's own."""
    own = {path for operation in operations for path in operation.own_result_paths}
    return sorted({ANY_RESULT} | own)


async def unknown_address(request: Request, error: Exception) -> Response:
    """The API's own form of 404 and 405."""
    assert isinstance(error, HTTPException)
    return problem(request.scope["path"], error.status_code)
