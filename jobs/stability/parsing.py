"""Reading what a caller of the API sends: JSON, or a form with its fields and files."""

import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from jobs.catalog.operation import Operation

#: More than any operation has: fields of an address that is to be kept busy, and no request.
MOST_PARTS = 200


class BadBody(Exception):
    """The body is not what its content type says."""


@dataclass(frozen=True)
class Form:
    """A form's text fields and its files, which wait to be read and are closed by the caller."""

    fields: Mapping[str, str]
    files: Mapping[str, UploadFile]
    #: Closes all files, also those that came twice.
    data: FormData


def read_json(body: bytes) -> dict[str, Any]:
    """The object in a body of JSON; raises BadBody."""
    try:
        params = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadBody("body: is not valid JSON") from error
    if not isinstance(params, dict):
        raise BadBody("body: must be an object")
    return params


async def read_form(
    headers: Headers,
    chunks: AsyncGenerator[bytes, None],
    operation: Operation,
    *,
    in_memory: int,
) -> Form:
    """Read a multipart body; a file larger than `in_memory` bytes goes to disk. Raises BadBody."""
    if not headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise BadBody("content-type: must be multipart/form-data")
    parser = MultiPartParser(
        headers, chunks, max_files=MOST_PARTS, max_fields=MOST_PARTS, max_part_size=in_memory
    )
    parser.spool_max_size = in_memory
    try:
        data = await parser.parse()
    except MultiPartException as error:
        raise BadBody(f"body: is not valid multipart/form-data: {error.message}") from error
    items = data.multi_items()
    fields = {name: value for name, value in items if isinstance(value, str)}
    files = {name: value for name, value in items if isinstance(value, UploadFile)}
    return Form(fields, without_filler(files, operation), data)


def without_filler(files: Mapping[str, UploadFile], operation: Operation) -> dict[str, UploadFile]:
    """The files without empty ones of unknown names: by such a file clients that have none make
    their library send a form (`files={"none": ""}`), and the API passes over it."""
    return {name: file for name, file in files.items() if file.size or operation.parameter(name)}


def unfold(fields: Mapping[str, str]) -> dict[str, Any]:
    """Turn v1's `text_prompts[0][text]` fields into the list that JSON would hold."""
    params: dict[str, Any] = {}
    prompts: dict[int, dict[str, Any]] = {}
    for name, value in fields.items():
        head, _, rest = name.partition("[")
        index, _, key = rest.removesuffix("]").partition("][")
        if head == "text_prompts" and index.isdecimal() and key:
            prompts.setdefault(int(index), {})[key] = number(value) if key == "weight" else value
        else:
            params[name] = value
    if prompts:
        params["text_prompts"] = [prompts[index] for index in sorted(prompts)]
    return params


def number(text: str) -> float | str:
    """The number that a text stands for, or the text."""
    try:
        return float(text)
    except ValueError:
        return text
