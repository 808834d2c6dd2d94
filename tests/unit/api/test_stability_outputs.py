"""Outputs framed as JSON: what is announced is what comes, and what comes is JSON."""

import io
import json
from base64 import b64decode
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.stability.outputs import CHUNK_BYTES, artifacts, encoded, enveloped
from jobs.catalog.loader import operation
from jobs.storage.protocol import Storage

CORE = operation("generate/core")
sizes = st.one_of(
    st.integers(0, 100), st.integers(CHUNK_BYTES - 4, CHUNK_BYTES + 4), st.just(3 * CHUNK_BYTES)
)
seeds = st.none() | st.integers(0, 2**32)


class Shelf:
    """A bucket in memory whose keys are sizes; counts what was opened and what was closed."""

    def __init__(self) -> None:
        self.opened: list[io.BytesIO] = []

    def open(self, key: str) -> io.BytesIO:
        self.opened.append(io.BytesIO(b"x" * int(key)))
        return self.opened[-1]


def output(size: int, seed: int | None) -> Any:
    return SimpleNamespace(key=str(size), bytes=size, seed=seed, finish_reason="SUCCESS")


@given(sizes, seeds)
def test_one_output_is_an_object_as_long_as_announced(size: int, seed: int | None) -> None:
    part = enveloped(CORE, output(size, seed))

    body = b"".join(encoded(cast(Storage, Shelf()), [part]))

    told = json.loads(body)
    assert len(body) == len(part)
    assert b64decode(told["image"]) == b"x" * size
    assert told.get("seed") == seed


@given(st.lists(st.tuples(sizes, seeds), min_size=1, max_size=4))
def test_many_outputs_are_one_list_and_each_file_is_closed(
    made: list[tuple[int, int | None]],
) -> None:
    parts, shelf = artifacts([output(*facts) for facts in made]), Shelf()

    body = b"".join(encoded(cast(Storage, shelf), parts))

    told = json.loads(body)["artifacts"]
    assert len(body) == sum(map(len, parts))
    assert [(len(b64decode(a["base64"])), a.get("seed")) for a in told] == made
    assert all(stream.closed for stream in shelf.opened)


def test_nothing_is_read_before_it_is_sent() -> None:
    shelf = Shelf()
    pieces = encoded(cast(Storage, shelf), artifacts([output(9, 1), output(9, 2)]))

    next(pieces)

    assert len(shelf.opened) == 1
    pieces.close()  # type: ignore[attr-defined]
    assert shelf.opened[0].closed
    with pytest.raises(StopIteration):
        next(pieces)
