"""Lines out of a stream, and rows over their defaults."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException

from api.rows import ROWS_AT_ONCE, mixed, pieces_of


def lines_of(chunks: list[bytes]) -> list[bytes]:
    async def stream() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    async def collect() -> list[bytes]:
        return [line async for piece in pieces_of(stream()) for line in piece]

    return asyncio.run(collect())


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=5))
def test_lines_are_the_same_however_the_bytes_arrive(data: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(data)]
    chunks = [data[start:end] for start, end in pairwise(edges)]

    assert lines_of(chunks) == [line for line in data.split(b"\n") if line.strip()]


def test_a_long_stream_comes_in_pieces() -> None:
    async def stream() -> AsyncIterator[bytes]:
        yield b"{}\n" * (2 * ROWS_AT_ONCE + 1)

    async def sizes() -> list[int]:
        return [len(piece) async for piece in pieces_of(stream())]

    assert asyncio.run(sizes()) == [ROWS_AT_ONCE, ROWS_AT_ONCE, 1]


def test_a_line_that_never_ends_is_refused() -> None:
    with pytest.raises(HTTPException, match="A line may have"):
        lines_of([b"x" * 1024 * 1024] * 5)


def test_a_rows_own_words_win_over_the_defaults() -> None:
    defaults = {"operation": "a", "priority": 1, "params": {"x": 1, "y": 1}}

    assert mixed(defaults, {"params": {"y": 2}, "priority": 2}) == {
        "operation": "a",
        "priority": 2,
        "params": {"x": 1, "y": 2},
    }
    assert mixed(defaults, 7) == 7
    assert mixed(defaults, {"params": []})["params"] == []
