"""What callers of the API send, read."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from starlette.datastructures import Headers

from jobs.catalog.loader import operation
from jobs.stability.accept import NotAcceptable, wants_json
from jobs.stability.parsing import BadBody, read_form, read_json, unfold

CORE = operation("generate/core")
FAST = operation("upscale/fast")
V1 = operation("v1/text-to-image")
MODEL = operation("3d/stable-fast-3d")
HEADERS = Headers({"content-type": "multipart/form-data; boundary=x"})


def part(name: str, value: str, filename: str | None = None) -> bytes:
    """One part of a form."""
    file = "" if filename is None else f'; filename="{filename}"'
    head = f'--x\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
    return f"{head}{value}\r\n".encode()


def read(body: bytes, entry: Any = CORE, *, pieces: int = 1) -> tuple[dict[str, str], list[str]]:
    """Fields and names of files of a form that comes in so many pieces."""

    async def chunks() -> AsyncGenerator[bytes, None]:
        step = -(-len(body) // pieces)
        for start in range(0, len(body), step):
            yield body[start : start + step]

    async def go() -> tuple[dict[str, str], list[str]]:
        form = await read_form(HEADERS, chunks(), entry, in_memory=1000)
        await form.data.close()
        return dict(form.fields), list(form.files)

    return asyncio.run(go())


@pytest.mark.parametrize("pieces", [1, 7, 100])
def test_fields_and_files_are_told_apart(pieces: int) -> None:
    body = part("prompt", "a hare") + part("image", "bytes", "x.png") + b"--x--\r\n"

    assert read(body, FAST, pieces=pieces) == ({"prompt": "a hare"}, ["image"])


def test_an_empty_file_that_only_makes_a_form_of_the_request_is_passed_over() -> None:
    body = part("none", "", "none") + part("prompt", "a hare") + b"--x--\r\n"

    assert read(body) == ({"prompt": "a hare"}, [])


def test_an_empty_file_of_the_operation_is_not_passed_over() -> None:
    assert read(part("image", "", "x.png") + b"--x--\r\n", FAST) == ({}, ["image"])


@pytest.mark.parametrize(
    "body",
    [
        part("prompt", "x" * 1001) + b"--x--\r\n",
        b"".join(part(f"f{n}", "") for n in range(201)) + b"--x--\r\n",
        b"--x\r\nContent-Disposition: form-data\r\n\r\nx\r\n--x--\r\n",
        b"nothing of the kind",
    ],
    ids=["long field", "many fields", "no name", "no form"],
)
def test_a_form_beyond_reason_is_refused(body: bytes) -> None:
    with pytest.raises(BadBody):
        read(body)


def test_prompts_of_v1_are_unfolded_in_the_order_of_their_numbers() -> None:
    fields = {
        "text_prompts[10][text]": "last",
        "text_prompts[0][text]": "first",
        "text_prompts[0][weight]": "0.5",
        "text_prompts[x][text]": "no number",
        "seed": "7",
    }

    assert unfold(fields) == {
        "text_prompts": [{"text": "first", "weight": 0.5}, {"text": "last"}],
        "text_prompts[x][text]": "no number",
        "seed": "7",
    }


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"\xff", b"[" * 100_000])
def test_json_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(BadBody):
        read_json(body)


@pytest.mark.parametrize(
    ("entry", "accept", "as_json"),
    [
        (CORE, "", False),
        (CORE, "*/*", False),
        (CORE, "image/*", False),
        (CORE, "IMAGE/PNG", False),
        (CORE, "application/json", True),
        (CORE, "application/json, text/plain, */*", True),
        (V1, "", True),
        (V1, "*/*", True),
        (V1, "image/png", False),
        (MODEL, "*/*", False),
    ],
)
def test_the_accept_header_chooses_the_form(entry: Any, accept: str, as_json: bool) -> None:
    assert wants_json(entry, accept) is as_json


@pytest.mark.parametrize(("entry", "accept"), [(CORE, "video/*"), (CORE, "text/html")])
def test_what_is_not_made_is_refused(entry: Any, accept: str) -> None:
    with pytest.raises(NotAcceptable):
        wants_json(entry, accept)
