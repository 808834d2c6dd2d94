"""v1's addresses about the key itself: balance, account, engines."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from jobs.catalog.engines import engines_public
from jobs.catalog.operation import MILLI
from jobs.stability.sandbox.ledger import Account


async def balance(request: Request) -> Response:
    """The credits that are left."""
    return JSONResponse({"credits": note(request).balance_milli / MILLI})


async def account(request: Request) -> Response:
    """Who owns the key."""
    name = f"sandbox-{note(request).index}"
    organization = {"id": f"org-{name}", "name": name, "role": "MEMBER", "is_default": True}
    return JSONResponse(
        {
            "id": f"user-{name}",
            "email": f"{name}@example.com",
            "organizations": [organization],
            "profile_picture": "https://example.com/picture.png",
        }
    )


async def engines(request: Request) -> Response:
    """The engines that the key may use: all."""
    note(request)
    return JSONResponse(engines_public())


def note(request: Request) -> Account:
    """The key's account, once the request is counted."""
    owner: Account = request.state.account
    owner.counts.by_operation[request.scope["path"].removeprefix("/")] += 1
    return owner


ROUTES = (
    Route("/v1/user/balance", balance),
    Route("/v1/user/account", account),
    Route("/v1/engines/list", engines),
)
