"""One output comes from the bucket to its place on disk, and only if its checksum is right."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from jobs.dataset.folder import replacing
from jobs.dataset.item import ItemOutput
from jobs.errors import NotFound, ObjectMissing, StorageError

CHUNK_BYTES = 2**18

OpenOutput = Callable[[str], BinaryIO]


@dataclass(frozen=True, slots=True)
class Fetched:
    """How it went with one output: written now, there already, or (with a reason) missing."""

    output: ItemOutput
    is_new: bool = False
    missing: str | None = None


def fetch(output: ItemOutput, open_output: OpenOutput, target: Path) -> Fetched:
    """Bring the output to `target`, unless it is there already."""
    if _is_there(output, target):
        return Fetched(output)
    target.parent.mkdir(exist_ok=True)
    digest = hashlib.sha256()
    try:
        with replacing(target) as file:
            for chunk in _chunks(output.key, open_output):
                digest.update(chunk)
                file.write(chunk)
            if digest.hexdigest() != output.sha256:
                raise _OtherBytes
    except (ObjectMissing, NotFound, _OtherBytes) as error:
        return Fetched(output, missing=str(error))
    return Fetched(output, is_new=True)


class _OtherBytes(Exception):
    def __str__(self) -> str:
        return "the bucket holds other bytes than were stored"


def _chunks(key: str, open_output: OpenOutput) -> Iterator[bytes]:
    """The bytes, with the bucket's own troubles told apart from the local disk's."""
    try:
        with open_output(key) as source:
            while chunk := source.read(CHUNK_BYTES):
                yield chunk
    except FileNotFoundError as error:
        raise NotFound("the bucket does not hold it") from error
    except OSError as error:
        raise StorageError(f"The bucket did not give {key}: {error}.") from error


def _is_there(output: ItemOutput, target: Path) -> bool:
    try:
        if target.stat().st_size != output.bytes:
            return False
        with target.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == output.sha256
    except FileNotFoundError:
        return False
