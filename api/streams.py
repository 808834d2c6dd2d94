"""Answers of any length, made piece by piece in threads that no other request needs.

A piece may take as long as a walk over a million rows, or as a bucket that does not answer. The
event loop waits for none of that, and what nobody reads any more is not made.
"""

import asyncio
from collections.abc import AsyncIterator, Generator, Iterator
from threading import Event

from anyio import CapacityLimiter, to_thread
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

#: First pieces that are made at once: many come after a walk over all rows, which takes a core.
#: Whoever comes later waits, and may go away; it holds no thread.
BEGINNING_AT_ONCE = 4
#: The pieces behind them mostly wait for the bucket.
AT_ONCE = 16
#: How long the first piece may decide the status. It is less than proxies wait for headers.
PATIENCE_SECONDS = 10.0


class Streams:
    """The threads that all streams share; lives on one event loop."""

    def __init__(self, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self.patience_seconds = patience_seconds
        self.beginning = CapacityLimiter(BEGINNING_AT_ONCE)
        self.going_on = CapacityLimiter(AT_ONCE)

    def answer(
        self, stream: Iterator[bytes], unwanted: Event, *, name: str, content_type: str
    ) -> "Streamed":
        """A download. The event is set once nobody wants it; a piece that takes long looks at it.

        What goes wrong before the first piece is an error with its own status, unless that takes
        longer than our patience; what goes wrong later cuts the answer off.
        """
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return Streamed(self, stream, unwanted, headers, content_type)


class Streamed(StreamingResponse):
    """What a generator makes. It is closed in a thread too: its end may take as long as a piece."""

    def __init__(
        self,
        streams: Streams,
        stream: Iterator[bytes],
        unwanted: Event,
        headers: dict[str, str],
        content_type: str,
    ) -> None:
        super().__init__(self._pieces(), 200, headers, content_type)
        self._streams = streams
        self._stream = closable(stream)
        self._unwanted = unwanted
        self._piece: asyncio.Task[bytes | None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it all, as long as somebody reads."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._close()

    async def stream_response(self, send: Send) -> None:
        """Send the headers once there is a first piece, or our patience is over."""
        self._piece = self._begin(self._streams.beginning)
        done, _ = await asyncio.wait([self._piece], timeout=self._streams.patience_seconds)
        for piece in done:
            piece.result()
        await super().stream_response(send)

    async def _pieces(self) -> AsyncIterator[bytes]:
        assert self._piece is not None, "the first piece is begun before the headers are sent"
        # A reader who goes cancels us at once, and not the thread that is at work.
        while (piece := await asyncio.shield(self._piece)) is not None:
            yield piece
            self._piece = self._begin(self._streams.going_on)

    def _begin(self, places: CapacityLimiter) -> "asyncio.Task[bytes | None]":
        return asyncio.create_task(to_thread.run_sync(self._next, limiter=places))

    def _next(self) -> bytes | None:
        return None if self._unwanted.is_set() else next(self._stream, None)

    async def _close(self) -> None:
        self._unwanted.set()
        if self._piece is not None:
            await asyncio.wait([self._piece])
            # Its error was told already, or there is nobody to tell it to.
            self._piece.exception()
        await to_thread.run_sync(self._stream.close, limiter=self._streams.going_on)


def closable(stream: Iterator[bytes]) -> Generator[bytes, None, None]:
    """The same; closing it closes the generators that it is made of."""
    yield from stream
