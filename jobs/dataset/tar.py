"""Tars, piece by piece: the same files make the same bytes."""

import tarfile
from collections.abc import Iterator
from typing import BinaryIO

from jobs.dataset.fetch import CHUNK_BYTES

#: A tar has an empty block behind each member that does not fill its last one, and two at its end.
BLOCK = tarfile.BLOCKSIZE

END = bytes(2 * BLOCK)


def member(name: str, file: BinaryIO, made_at: float = 0) -> Iterator[bytes]:
    """A whole file, from its beginning, as a member; `made_at` is in seconds since 1970."""
    header = tarfile.TarInfo(name)
    header.size = file.seek(0, 2)
    header.mtime = int(made_at)
    file.seek(0)
    yield header.tobuf(tarfile.PAX_FORMAT)
    while chunk := file.read(CHUNK_BYTES):
        yield chunk
    yield bytes(-header.size % BLOCK)


def room(size: int) -> int:
    """The bytes that a member of this size takes."""
    return BLOCK + size + -size % BLOCK
