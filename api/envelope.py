"""What surrounds every request and answer: an id, safe headers, patience with an end."""

import asyncio
import re
import secrets
from collections.abc import Sequence

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import answer_problem

#: Seconds between two pieces of a body before its sender counts as gone.
BODY_SECONDS = 30.0

#: Headers of a request, and their bytes in all.
MOST_HEADERS, MOST_HEADER_BYTES = 100, 32 * 1024

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

#: Nothing that we answer is a page, but for the documents, which bring their own policy.
SAFE_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "cache-control": "no-store",
}


def check_headers(headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Refuse more than anybody needs, before it is copied and logged."""
    if len(headers) > MOST_HEADERS:
        raise HTTPException(431, f"There may be {MOST_HEADERS} headers at the most")
    if sum(len(name) + len(value) for name, value in headers) > MOST_HEADER_BYTES:
        raise HTTPException(431, f"The headers may have {MOST_HEADER_BYTES:,} bytes in all")


class Envelope:
    """The outermost layer of our own: pure ASGI, for it is passed by every request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Give the request its id, and the answer its headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = scope["request_id"] = id_of(Headers(scope=scope))
        has_begun = False

        async def send_safely(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                for name, value in scope.get("rate_headers", {}).items():
                    headers[name] = value
                for name, value in SAFE_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                check_headers(scope["headers"])
                await self._app(scope, impatient(receive), send_safely)
            except ClientDisconnect:
                # Nobody is there to be answered; what was done is done.
                return
            except Exception as error:
                # An answer that has begun can only be cut off.
                if has_begun:
                    raise
                answer = answer_problem(Request(scope), error)
                await answer(scope, receive, send_safely)


def id_of(headers: Headers) -> str:
    """The caller's id for the request, if it may stand in a log, or a fresh one."""
    given = headers.get("x-request-id", "")
    return given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


def impatient(receive: Receive) -> Receive:
    """Wait for each piece of a body, but not for ever; for its end a listener may wait."""
    is_whole = False

    async def receive_in_time() -> Message:
        nonlocal is_whole
        if is_whole:
            return await receive()
        try:
            message = await asyncio.wait_for(receive(), BODY_SECONDS)
        except TimeoutError:
            raise HTTPException(408, "The body did not come in time") from None
        is_whole = not message.get("more_body", False)
        return message

    return receive_in_time
