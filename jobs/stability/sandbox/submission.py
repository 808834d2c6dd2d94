"""Reading what a caller sent: the body, its fields and its files."""

import io
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any

from starlette.requests import ClientDisconnect, Request

from jobs.catalog.images import MAX_REQUEST_BYTES, read_image_facts
from jobs.catalog.operation import Kind, Operation
from jobs.stability.parsing import BadBody, read_form, read_json, unfold
from jobs.stability.sandbox.plan import Size

#: Moderation refuses a prompt with the first word and blurs the picture for the second.
REFUSED_WORD = "nsfw-refused"
BLURRED_WORD = "nsfw-blurred"


class BodyTooLarge(Exception):
    """The request is larger than 10 MiB."""


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
        return Submission({**read_json(body), **in_path}, from_text=False)

    async def chunks() -> AsyncGenerator[bytes, None]:
        yield body

    # What fits into a request fits into memory: nothing is spooled to disk.
    form = await read_form(request.headers, chunks(), operation, in_memory=MAX_REQUEST_BYTES)
    files = {name: await file.read() for name, file in form.files.items()}
    return Submission({**unfold(form.fields), **in_path}, files)
