"""Answers of any length, made piece by piece in threads that no other request needs.

A piece may take as long as a walk over a million rows, or as a bucket that does not answer. The
event loop waits for none of that, and what nobody reads any more is not made.
"""

import asyncio
from collections.abc import AsyncIterator, Generator, Iterator
from threading import Event

from anyio import CancelScope, CapacityLimiter, to_thread
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


class Piece:
    """One piece that a thread makes, once it has its turn; None is the end."""

    def __init__(self, stream: Iterator[bytes], places: CapacityLimiter) -> None:
        self._turn = CancelScope()
        self._made = asyncio.create_task(self._make(stream, places))

    async def wait(self, patience_seconds: float) -> None:
        """Return once it is there, or after so long; raises what went wrong with it until then."""
        done, _ = await asyncio.wait([self._made], timeout=patience_seconds)
        for made in done:
            made.result()

    async def take(self) -> bytes | None:
        """The piece itself; who is canceled meanwhile leaves at once, and its thread works on."""
        return await asyncio.shield(self._made)

    async def give_up(self) -> None:
        """Leave the queue, or let the thread finish: nobody else may touch the stream before."""
        self._turn.cancel()
        await asyncio.wait([self._made])
        # What went wrong was told already, or there is nobody to tell it to.
        self._made.exception()

    async def _make(self, stream: Iterator[bytes], places: CapacityLimiter) -> bytes | None:
        with self._turn:
            return await to_thread.run_sync(next, stream, None, limiter=places)
        return None


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
        self._piece: Piece | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it all, as long as somebody reads."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._close()

    async def stream_response(self, send: Send) -> None:
        """Send the headers once there is a first piece, or our patience is over."""
        self._piece = Piece(self._stream, self._streams.beginning)
        await self._piece.wait(self._streams.patience_seconds)
        await super().stream_response(send)

    async def _pieces(self) -> AsyncIterator[bytes]:
        assert self._piece is not None, "the first piece is begun before the headers are sent"
        while (content := await self._piece.take()) is not None:
            yield content
            self._piece = Piece(self._stream, self._streams.going_on)

    async def _close(self) -> None:
        self._unwanted.set()
        if self._piece is not None:
            await self._piece.give_up()
        await to_thread.run_sync(self._stream.close, limiter=self._streams.going_on)


def closable(stream: Iterator[bytes]) -> Generator[bytes, None, None]:
    """The same; closing it closes the generators that it is made of."""
    yield from stream
