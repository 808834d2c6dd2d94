"""Reading what a caller sent: the body, its fields and its files."""

import io
import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from jobs.catalog.images import MAX_REQUEST_BYTES, read_image_facts
from jobs.catalog.operation import Kind, Operation
from jobs.stability.sandbox.plan import Size

#: Moderation refuses a prompt with the first word and blurs the picture for the second.
REFUSED_WORD = "nsfw-refused"
BLURRED_WORD = "nsfw-blurred"


class BodyTooLarge(Exception):
    """The request is larger than 10 MiB."""


class BadBody(Exception):
    """The body is not what its content type says."""


@dataclass(frozen=True)
class Submission:
    """A request's parameters and files, as they came."""

    params: Mapping[str, Any]
    files: Mapping[str, bytes] = field(default_factory=dict)
    #: Fields of a form are text; those of JSON have types.
    from_text: bool = True

    @property
    def prompt(self) -> str:
        """The texts that moderation reads, one to a line."""
        texts = self.params.get("text_prompts")
        if isinstance(texts, list):
            return "\n".join(str(t.get("text", "")) for t in texts if isinstance(t, dict))
        names = ("prompt", "background_prompt", "foreground_prompt")
        return "\n".join(str(self.params[name]) for name in names if self.params.get(name))

    @cached_property
    def inputs_sha256(self) -> str:
        """A digest of all files; empty without one."""
        if not self.files:
            return ""
        digest = sha256()
        for name in sorted(self.files):
            digest.update(self.files[name])
        return digest.hexdigest()

    def source(self, operation: Operation) -> Size | None:
        """The size of the picture that the operation starts from, which was checked before."""
        for parameter in operation.parameters:
            if parameter.kind is Kind.FILE and parameter.name in self.files:
                facts = read_image_facts(io.BytesIO(self.files[parameter.name]))
                return facts.width, facts.height
        return None


async def read_body(request: Request) -> bytes:
    """The whole body. One that is too large is read to its end as well, and dropped.

    Otherwise the connection would be reset before the caller could read why.
    """
    body, length = bytearray(), 0
    try:
        async for chunk in request.stream():
            length += len(chunk)
            if length <= MAX_REQUEST_BYTES:
                body += chunk
    except ClientDisconnect as error:
        raise BadBody("the caller went away") from error
    if length > MAX_REQUEST_BYTES:
        raise BodyTooLarge
    return bytes(body)


async def parse(request: Request, operation: Operation, body: bytes) -> Submission:
    """The parameters and files in a body; raises BadBody."""
    in_path = dict(request.path_params)
    if operation.body == "json":
        try:
            params = json.loads(body)
        except ValueError as error:
            raise BadBody("body: is not valid JSON") from error
        if not isinstance(params, dict):
            raise BadBody("body: must be an object")
        return Submission({**params, **in_path}, from_text=False)
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise BadBody("content-type: must be multipart/form-data")
    fields, files = await parse_form(request, body)
    return Submission({**unfold(fields), **in_path}, files)


async def parse_form(request: Request, body: bytes) -> tuple[dict[str, str], dict[str, bytes]]:
    """The text fields and the files of a multipart body."""

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    parser = MultiPartParser(request.headers, stream(), max_part_size=MAX_REQUEST_BYTES)
    # What fits into a request fits into memory: nothing is spooled to disk.
    parser.spool_max_size = MAX_REQUEST_BYTES
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError) as error:
        raise BadBody("body: is not valid multipart/form-data") from error
    fields: dict[str, str] = {}
    files: dict[str, bytes] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            files[name] = await value.read()
        else:
            fields[name] = value
    return fields, files


def unfold(fields: Mapping[str, str]) -> dict[str, Any]:
    """Turn v1's `text_prompts[0][text]` fields into the list that JSON would hold."""
    params: dict[str, Any] = {}
    prompts: dict[int, dict[str, Any]] = {}
    for name, value in fields.items():
        head, _, rest = name.partition("[")
        index, _, key = rest.removesuffix("]").partition("][")
        if head == "text_prompts" and index.isdigit() and key:
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
