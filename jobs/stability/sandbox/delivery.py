"""How an answer goes out: whole, or spoiled as a fault demands."""

import asyncio
from collections.abc import Callable

from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send

from jobs.stability.sandbox.protocol import wire_of

#: A slow answer comes in so many pieces.
SLOW_PIECES = 50

#: Bytes that announce themselves as media and are none.
GARBAGE = bytes(range(256)) * 16


class Delivery:
    """An answer on its way; it is called as Starlette calls a response."""

    def __init__(
        self,
        answer: Response,
        *,
        fault: str | None = None,
        slow_seconds: float = 0.0,
        on_sent: Callable[[], None] = lambda: None,
    ) -> None:
        self._answer = wrong_type() if fault == "wrong-type" else answer
        self._fault = fault
        self._slow_seconds = slow_seconds
        self._on_sent = on_sent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer, or what is left of it."""
        match self._fault:
            case "hang":
                await gone(receive)
            case "reset" | "reset-before-charge" | "reset-after-charge":
                wire_of(scope).reset()
                await gone(receive)
            case "truncate":
                await self._send_half(scope, receive, send)
            case "slow":
                await self._send_slowly(send)
                self._note_sent(scope)
            case _:
                # Asked before: the connection of a caller who wants it closed is, after.
                is_there = not wire_of(scope).is_closing
                await self._answer(scope, receive, send)
                if is_there:
                    self._on_sent()

    async def _send_half(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = bytes(self._answer.body)
        await send(self._start())
        await send(
            {"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True}
        )
        wire_of(scope).close()
        await gone(receive)

    async def _send_slowly(self, send: Send) -> None:
        body = bytes(self._answer.body)
        step = max(len(body) // SLOW_PIECES, 1)
        await send(self._start())
        for start in range(0, len(body), step):
            await asyncio.sleep(self._slow_seconds / SLOW_PIECES)
            piece = body[start : start + step]
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    def _start(self) -> dict[str, object]:
        return {
            "type": "http.response.start",
            "status": self._answer.status_code,
            "headers": self._answer.raw_headers,
        }

    def _note_sent(self, scope: Scope) -> None:
        if not wire_of(scope).is_closing:
            self._on_sent()


def wrong_type() -> Response:
    """A page where media was promised, as a captive portal or a broken proxy answers."""
    return HTMLResponse("<html><body><h1>Welcome</h1></body></html>")


async def gone(receive: Receive) -> None:
    """Wait until the caller is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
