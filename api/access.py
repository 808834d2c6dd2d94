"""Who may come in: every router is made with the scope that its routes ask for, or as open.

The key is looked at before the first byte of a body is read.
"""

import time
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Depends, Security
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive

from api.answers import PROBLEMS, Answers
from api.meter import Meter, counted
from api.problems import Forbidden, Unauthorized
from api.stability.shape import takes_bare_key
from jobs.keys import Caller, Doorkeeper, Scope

#: Larger than a job with two `data:` inputs of 1 MiB, in base64.
BODY_BYTES = 4 * 1024 * 1024
#: For a whole body, however it drips; 10 MiB come in time at 700 kbit/s.
BODY_SECONDS = 120.0

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

BEARER = HTTPBearer(
    scheme_name="key", bearerFormat="dk_<id>_<secret>", auto_error=False, description="An API key."
)


class GuardedRoute(APIRoute):
    """A route that nobody reaches without a key of the right scope, nor with too large a body."""

    scope: ClassVar[Scope]
    body_bytes: ClassVar[int | None]

    def get_route_handler(self) -> Handler:
        """The route's handler behind its guard."""
        handle = super().get_route_handler()

        async def guard(request: Request) -> Response:
            caller = await admit(request)
            if not caller.may(self.scope):
                raise Forbidden(f"this asks for a key with the scope {self.scope}")
            request.state.caller = caller
            receive = request.receive
            if self.body_bytes is not None:
                receive = limited(request, self.body_bytes)
            receive = await metered(request, caller, receive)
            return await handle(Request(request.scope, receive))

        return guard


async def metered(request: Request, caller: Caller, receive: Receive) -> Receive:
    """The request's body, counted with the request among what its key may send."""
    meter: Meter = request.app.state.parts.meter
    announced = request.headers.get("content-length", "")
    size_bytes = int(announced) if announced.isdecimal() else 0
    reading = await meter.count(caller, size_bytes=size_bytes)
    if reading is not None:
        # The envelope shows them on whatever comes of the request.
        request.scope["rate_headers"] = reading.headers
    is_open_ended = caller.limits.bytes and "transfer-encoding" in request.headers
    return counted(receive, meter, caller) if is_open_ended else receive


def limited(request: Request, most_bytes: int) -> Receive:
    """The request's body, which ends in an error as soon as it is known to be too large."""
    announced = request.headers.get("content-length", "")
    deadline = time.monotonic() + BODY_SECONDS
    received = int(announced) if announced.isdecimal() else 0
    check_size(received, most_bytes)
    received = 0

    async def receive() -> Message:
        nonlocal received
        message = await request.receive()
        received += len(message.get("body", b""))
        check_size(received, most_bytes)
        if message.get("more_body", False) and time.monotonic() > deadline:
            raise HTTPException(408, f"The body took longer than {BODY_SECONDS:g} s")
        return message

    return receive


def check_size(received: int, most_bytes: int) -> None:
    """Raise what the framework lets through while it reads a body."""
    if received > most_bytes:
        raise HTTPException(413, f"The body may have {most_bytes:,} bytes at the most")


def router_for(
    scope: Scope,
    tag: str,
    *,
    body_bytes: int | None = BODY_BYTES,
    refusals: Answers = PROBLEMS,
) -> APIRouter:
    """A router all of whose routes ask for this scope, take bodies up to this size, and are
    documented with these refusals."""
    route = type(
        f"{scope.title()}Route", (GuardedRoute,), {"scope": scope, "body_bytes": body_bytes}
    )
    return APIRouter(
        route_class=route, tags=[tag], dependencies=[Security(BEARER)], responses=refusals
    )


def open_router(tag: str) -> APIRouter:
    """A router for what everybody may see."""
    return APIRouter(tags=[tag])


async def admit(request: Request) -> Caller:
    """Whom the request's key speaks for; raises Unauthorized."""
    key = key_in(request)
    parts = request.app.state.parts
    doorkeeper: Doorkeeper = parts.doorkeeper
    caller: Caller | None = doorkeeper.recall(key) or await parts.admissions.join(key)
    if caller is None:
        raise Unauthorized("the key is unknown, expired or revoked")
    return caller


def key_in(request: Request) -> str:
    """The key that came with the request; raises Unauthorized if there is none."""
    told = request.headers.get("authorization", "").strip()
    kind, _, key = told.partition(" ")
    if kind.lower() == "bearer":
        return key.strip()
    if told and takes_bare_key(request.scope["path"]):
        return told
    raise Unauthorized


async def caller_of(request: Request) -> Caller:
    """Whom the guard let in."""
    caller: Caller = request.state.caller
    return caller


Known = Annotated[Caller, Depends(caller_of)]
