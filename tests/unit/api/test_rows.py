"""Lines out of a stream, and rows over their defaults."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException

from api.rows import ROWS_AT_ONCE, mixed, pieces_of
from jobs.catalog.loader import operation
from jobs.catalog.validate import clean


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


@pytest.mark.parametrize(
    ("default", "own", "fields"),
    [
        ({"fields.steps": 20}, {"fields": {"steps": 30}}, {"steps": 30}),
        ({"fields": {"steps": 20}}, {"fields.steps": 30}, {"steps": 30}),
        ({"fields": {"steps": 20}}, {"fields": {"prompt": "a"}}, {"steps": 20, "prompt": "a"}),
        ({"fields": {"steps": 20}}, {"fields.prompt": "a"}, {"steps": 20, "prompt": "a"}),
        ({"fields": {"steps": 20}}, {"fields": {}}, {"steps": 20}),
        ({"fields": {"steps": 20}}, {"fields": {"steps": None}}, {}),
        ({"fields.steps": 20}, {"fields.steps": None}, {}),
        ({"fields": {"steps": 20}}, {"body": "json"}, {"steps": 20}),
    ],
)
def test_the_fields_of_a_request_are_mixed_one_by_one(
    default: dict[str, Any], own: dict[str, Any], fields: dict[str, Any]
) -> None:
    call = {"path": "/v2beta/next", "credits": 2}

    row = mixed({"operation": "request", "params": {**call, **default}}, {"params": own})

    params, faults = clean(operation("request"), row["params"])
    assert not faults
    assert params["fields"] == fields


@pytest.mark.parametrize("own", [{"fields": "steps"}, {"fields": [1]}, {"fields.": 1}])
def test_fields_of_a_wrong_form_are_still_refused(own: dict[str, Any]) -> None:
    params = {"path": "/v2beta/next", "credits": 2, "fields": {"steps": 20}}

    row = mixed({"operation": "request", "params": params}, {"params": own})

    assert clean(operation("request"), row["params"])[1]


@pytest.mark.parametrize("name", [None, 7, [], "unheard-of"])
def test_rows_of_no_known_operation_are_mixed_all_the_same(name: Any) -> None:
    row = mixed({"params": {"x": 1}}, {"operation": name, "params": {"y": 2}})

    assert row["params"] == {"x": 1, "y": 2}
