"""Streams are made in threads, a few at once, as long as somebody reads them."""

import asyncio
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

import pytest

from api.streams import BEGINNING_AT_ONCE, Streamed, Streams
from jobs.dataset.stored import Abandoned
from jobs.errors import StorageError

SCOPE = {"type": "http", "asgi": {"spec_version": "2.3"}}
#: What takes longer hangs.
SECONDS = 10.0


class Reader:
    """The other end of an answer, who may stop reading, and may go."""

    def __init__(self, *, takes: int = 1000) -> None:
        self.messages: list[Any] = []
        self._takes = takes
        self._goes = asyncio.Event()

    async def read(self, answer: Streamed) -> None:
        async with asyncio.timeout(SECONDS):
            await answer(SCOPE, self._receive, self._send)

    def go(self) -> None:
        self._goes.set()

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)

    async def _receive(self) -> dict[str, Any]:
        await self._goes.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.messages.append(message)
        if len(self.messages) == self._takes:
            await asyncio.Event().wait()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.001)


def answer(streams: Streams, stream: Iterator[bytes], unwanted: Event | None = None) -> Streamed:
    return streams.answer(stream, unwanted or Event(), name="a.tar", content_type="text/plain")


def test_all_pieces_are_sent_in_their_order_and_an_empty_one_is_no_end() -> None:
    async def run() -> Reader:
        reader = Reader()
        await reader.read(answer(Streams(), iter([b"", b"one ", b"", b"two"])))
        return reader

    reader = asyncio.run(run())

    assert reader.messages[0]["status"] == 200
    assert dict(reader.messages[0]["headers"])[b"content-disposition"].endswith(b'"a.tar"')
    assert reader.body == b"one two"
    assert reader.messages[-1]["more_body"] is False


def test_what_goes_wrong_before_the_first_piece_comes_before_the_headers() -> None:
    reader: Reader

    def stream() -> Iterator[bytes]:
        raise StorageError
        yield b""

    async def run() -> None:
        nonlocal reader
        reader = Reader()
        await reader.read(answer(Streams(), stream()))

    with pytest.raises(StorageError):
        asyncio.run(run())
    assert reader.messages == []


def test_the_headers_go_ahead_of_a_piece_that_takes_long() -> None:
    may_end = Event()

    def stream() -> Iterator[bytes]:
        assert may_end.wait(SECONDS)
        yield b"late"

    async def run() -> Reader:
        reader = Reader()
        reading = asyncio.create_task(reader.read(answer(Streams(patience_seconds=0), stream())))
        await until(lambda: len(reader.messages) == 1)
        may_end.set()
        await reading
        return reader

    assert asyncio.run(run()).body == b"late"


def test_a_piece_in_the_making_is_told_that_its_reader_has_gone() -> None:
    begun, unwanted = Event(), Event()
    heard: list[bool] = []

    def stream() -> Iterator[bytes]:
        begun.set()
        heard.append(unwanted.wait(SECONDS))
        raise Abandoned
        yield b""

    async def run() -> Reader:
        reader = Reader()
        reading = asyncio.create_task(reader.read(answer(Streams(), stream(), unwanted)))
        await until(begun.is_set)
        reader.go()
        await reading
        return reader

    assert asyncio.run(run()).messages == []
    assert heard == [True]


def test_the_loop_goes_on_while_an_unread_stream_is_closed() -> None:
    closing, may_end = Event(), Event()
    ended: list[bool] = []

    def stream() -> Iterator[bytes]:
        try:
            while True:
                yield b"more"
        finally:
            closing.set()
            ended.append(may_end.wait(SECONDS))

    async def run() -> None:
        reader = Reader(takes=3)
        reading = asyncio.create_task(reader.read(answer(Streams(), stream())))
        await until(lambda: len(reader.messages) == 3)
        reader.go()
        await until(closing.is_set)
        # Only a loop that goes on comes here.
        may_end.set()
        await reading

    asyncio.run(run())

    assert ended == [True]


def test_few_first_pieces_are_made_at_once_and_all_in_the_end() -> None:
    may_end = Event()
    begun: list[None] = []

    def stream() -> Iterator[bytes]:
        begun.append(None)
        assert may_end.wait(SECONDS)
        yield b"piece"

    async def run() -> tuple[int, list[bytes]]:
        streams = Streams(patience_seconds=0)
        readers = [Reader() for _ in range(BEGINNING_AT_ONCE + 3)]
        reading = [asyncio.create_task(r.read(answer(streams, stream()))) for r in readers]
        await until(lambda: len(begun) >= BEGINNING_AT_ONCE)
        await until(lambda: streams.beginning.statistics().tasks_waiting == 3)
        at_once = len(begun)
        may_end.set()
        await asyncio.gather(*reading)
        return at_once, [reader.body for reader in readers]

    at_once, bodies = asyncio.run(run())

    assert at_once == BEGINNING_AT_ONCE
    assert bodies == [b"piece"] * (BEGINNING_AT_ONCE + 3)


def test_whoever_goes_before_his_turn_is_never_served() -> None:
    may_end = Event()
    made: list[int] = []

    def stream(number: int) -> Iterator[bytes]:
        made.append(number)
        assert may_end.wait(SECONDS)
        yield b"piece"

    async def run() -> None:
        streams, last = Streams(), BEGINNING_AT_ONCE
        readers = [Reader() for _ in range(last + 1)]
        reading = []
        for number, reader in enumerate(readers):
            reading.append(asyncio.create_task(reader.read(answer(streams, stream(number)))))
            await until(lambda number=number: len(made) == min(number + 1, last))  # type: ignore[misc]
        readers[last].go()
        await until(reading[last].done)
        may_end.set()
        await asyncio.gather(*reading)

    asyncio.run(run())

    assert made == list(range(BEGINNING_AT_ONCE))


def test_what_goes_wrong_later_cuts_the_answer_off() -> None:
    reader: Reader

    def stream() -> Iterator[bytes]:
        yield b"some"
        raise StorageError

    async def run() -> None:
        nonlocal reader
        reader = Reader()
        await reader.read(answer(Streams(), stream()))

    with pytest.raises(StorageError):
        asyncio.run(run())
    assert reader.body == b"some"
    assert reader.messages[-1]["more_body"] is True
