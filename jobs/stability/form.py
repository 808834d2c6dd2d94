"""An operation, its parameters and files -> the body of the request, streamed from disk."""

import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any, BinaryIO

from urllib3.fields import RequestField
from urllib3.filepost import choose_boundary

from jobs.catalog.operation import Kind, Operation
from jobs.catalog.text import spelled
from jobs.durable import storage_errors

#: Bodies up to this size wait in memory, larger ones in a temporary file.
IN_MEMORY = 64 * 1024
CHUNK = 256 * 1024


@dataclass(frozen=True)
class InputFile:
    """A file to send: an open stream that is read once."""

    stream: BinaryIO
    content_type: str


class Body:
    """A request's body; it knows whether all of itself was handed to the network.

    The API cannot act on a body that it has only a part of. So an exception that comes while
    `is_sent` is False means that nothing was paid.
    """

    def __init__(self, stream: IO[bytes], size: int, content_type: str) -> None:
        self.content_type = content_type
        self.size = size
        #: When the last byte was handed over, by the monotonic clock.
        self.sent_at: float | None = None
        self._stream = stream

    @property
    def is_sent(self) -> bool:
        """Whether every byte was accepted by the system's network."""
        return self.sent_at is not None

    def __len__(self) -> int:
        return self.size

    def read(self, size: int = -1) -> bytes:
        """The next bytes. Asking for more than there is means that all before were sent."""
        chunk = self._stream.read(size)
        if not chunk and self.sent_at is None:
            self.sent_at = time.monotonic()
        return chunk

    def close(self) -> None:
        """Forget the bytes."""
        self._stream.close()


def address(operation: Operation, params: Mapping[str, Any]) -> str:
    """The path of the request, with its parameters filled in."""
    of_path = [p for p in operation.parameters if p.place == "path"]
    filled = {p.name: str(params.get(p.name, p.default)) for p in of_path}
    return operation.path.format(**filled)


def build(
    operation: Operation,
    params: Mapping[str, Any],
    *,
    seed: int | None = None,
    files: Mapping[str, InputFile] | None = None,
) -> Body:
    """Build the body; the streams in `files` are read to their ends. The caller closes it.

    Raises StorageError if there is no room for it.
    """
    sent = operation.sent(params)
    if seed is not None:
        sent["seed"] = seed
    with storage_errors("get a request ready"):
        if operation.body == "json":
            return _json(operation, sent)
        return _multipart(operation, sent, files or {})


def _json(operation: Operation, params: dict[str, Any]) -> Body:
    for parameter in operation.parameters:
        if parameter.kind is Kind.PROMPTS and parameter.name in params:
            params[parameter.name] = prompts(params[parameter.name])
    stream = waiting_file()
    size = stream.write(json.dumps(params, ensure_ascii=False).encode())
    stream.seek(0)
    return Body(stream, size, "application/json")


def _multipart(
    operation: Operation, params: dict[str, Any], files: Mapping[str, InputFile]
) -> Body:
    boundary = choose_boundary()
    stream = waiting_file()
    for name, value in fields(operation, params):
        _open_part(stream, boundary, RequestField(name, b""))
        stream.write(value.encode() + b"\r\n")
    if not files and not params:
        _open_part(stream, boundary, RequestField("none", b""))
        stream.write(b"\r\n")
    for name, file in files.items():
        extension = file.content_type.rpartition("/")[2]
        field = RequestField(name, b"", filename=f"{name}.{extension}")
        _open_part(stream, boundary, field, file.content_type)
        while chunk := file.stream.read(CHUNK):
            stream.write(chunk)
        stream.write(b"\r\n")
    stream.write(f"--{boundary}--\r\n".encode())
    size = stream.tell()
    stream.seek(0)
    return Body(stream, size, f"multipart/form-data; boundary={boundary}")


def _open_part(
    stream: IO[bytes], boundary: str, field: RequestField, content_type: str | None = None
) -> None:
    field.make_multipart(content_type=content_type)
    stream.write(f"--{boundary}\r\n".encode() + field.render_headers().encode())


def fields(operation: Operation, params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Parameters as form fields; v1's prompts and booleans have forms of their own."""
    found = []
    for name, value in params.items():
        parameter = operation.parameter(name)
        if parameter is not None and parameter.kind is Kind.PROMPTS:
            for i, prompt in enumerate(prompts(value)):
                found += [(f"text_prompts[{i}][{k}]", str(v)) for k, v in prompt.items()]
        else:
            found.append((name, spelled(value)))
    return found


def waiting_file() -> IO[bytes]:
    """A file that its reader closes: in memory while it is small."""
    return tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)


def prompts(value: Any) -> list[dict[str, Any]]:
    """v1's list of prompts; a plain string is one."""
    return [{"text": value}] if isinstance(value, str) else list(value)
