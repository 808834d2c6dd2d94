"""A job's outputs as Stability sends them, streamed from the bucket: bytes, or base64 in JSON."""

import json
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from typing import Any

from sqlalchemy import Row
from starlette.responses import StreamingResponse

from jobs.catalog.operation import Operation
from jobs.storage.protocol import Storage

#: Bytes of an output in memory at once; base64 takes them in threes.
CHUNK_BYTES = 3 * 64 * 1024

Output = Row[Any]


@dataclass(frozen=True)
class Framed:
    """An output in base64, and the JSON before and behind it."""

    head: bytes
    output: Output
    tail: bytes

    def __len__(self) -> int:
        return len(self.head) + 4 * -(-int(self.output.bytes) // 3) + len(self.tail)


def answer_with(
    storage: Storage, operation: Operation, outputs: Sequence[Output], *, as_json: bool
) -> StreamingResponse:
    """The answer of a job that succeeded; raises StorageError if it cannot be read."""
    if as_json:
        parts = artifacts(outputs) if operation.is_v1 else [enveloped(operation, outputs[0])]
        kind = "" if operation.is_v1 else f"; type={outputs[0].content_type}"
        headers = {"content-type": f"application/json{kind}"}
        headers["content-length"] = str(sum(map(len, parts)))
        return StreamingResponse(begun(encoded(storage, parts)), headers=headers)
    output = outputs[0]
    headers = {
        "content-type": output.content_type,
        "content-length": str(output.bytes),
        "finish-reason": reason_of(output),
    }
    if output.seed is not None:
        headers["seed"] = str(output.seed)
    return StreamingResponse(begun(plain(storage, output)), headers=headers)


def enveloped(operation: Operation, output: Output) -> Framed:
    """`{image, finish_reason, seed}`, the first named for the media."""
    head = b'{"%s":"' % operation.media.encode()
    return Framed(head, output, closed_by({"finish_reason": reason_of(output)}, output))


def artifacts(outputs: Sequence[Output]) -> list[Framed]:
    """v1's `{artifacts: [{base64, finishReason, seed}, ...]}`."""
    last = len(outputs) - 1
    return [
        Framed(
            (b"," if number else b'{"artifacts":[') + b'{"base64":"',
            output,
            closed_by({"finishReason": reason_of(output)}, output)
            + (b"]}" if number == last else b""),
        )
        for number, output in enumerate(outputs)
    ]


def closed_by(facts: dict[str, Any], output: Output) -> bytes:
    """The end of an object that begins with base64: these facts, and the seed if it is known."""
    if output.seed is not None:
        facts = {**facts, "seed": output.seed}
    return b'",' + json.dumps(facts).encode()[1:]


def reason_of(output: Output) -> str:
    """SUCCESS, or that moderation blurred it."""
    return str(output.finish_reason or "SUCCESS")


def begun(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same pieces with the first one read: a file that is not there is an error by now, and
    no answer that breaks off."""
    return chain([next(pieces)], pieces)


def plain(storage: Storage, output: Output) -> Iterator[bytes]:
    """The bytes of an output."""
    with closing(storage.open(output.key)) as stream:
        while piece := stream.read(CHUNK_BYTES):
            yield piece


def encoded(storage: Storage, parts: Sequence[Framed]) -> Iterator[bytes]:
    """Outputs in their JSON."""
    for part in parts:
        with closing(storage.open(part.output.key)) as stream:
            yield part.head
            while piece := stream.read(CHUNK_BYTES):
                yield b64encode(piece)
            yield part.tail
