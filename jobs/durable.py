"""Files that survive a crash: written beside their place, renamed into it, then flushed.

Between the rename and the flush a power cut may leave a torn file, so whoever reads one before its
flush is confirmed compares its sha256, or makes it again.
"""

import ctypes
import errno
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, Self
from weakref import finalize

from jobs.errors import StorageError

#: Bytes that are held in memory at once when a file is copied or hashed.
CHUNK_BYTES = 1 << 20

#: Linux flushes one file system; Python does not offer it, and elsewhere all are flushed.
SYNCFS: Any = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)

REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "permission is denied",
    errno.EPERM: "permission is denied",
    errno.EIO: "the disk has an error",
    errno.EFBIG: "the file would be too large",
    errno.EMFILE: "too many files are open",
    errno.ENFILE: "too many files are open",
}


@contextmanager
def storage_errors(doing: str) -> Iterator[None]:
    """Turn an OSError into a StorageError: `doing` ("write the spool") failed, and why."""
    try:
        yield
    except OSError as error:
        reason = REASONS.get(error.errno or 0) or error.strerror or type(error).__name__
        raise StorageError(f"Could not {doing}: {reason}.") from error


def chunks_of(source: BinaryIO) -> Iterator[bytes]:
    """What `source` still holds, piece by piece."""
    while chunk := source.read(CHUNK_BYTES):
        yield chunk


class Draft:
    """A file that comes into being, hashed on its way; only its owner may read it.

    Leaving the `with` block by an exception deletes it, so that only a kill leaves a half file.
    """

    def __init__(self, path: Path, doing: str) -> None:
        self._path, self._doing = path, doing
        self._digest, self._size = hashlib.sha256(), 0
        with storage_errors(doing):
            self._file = open_private(path)

    def write(self, chunk: bytes) -> None:
        """Add some bytes."""
        with storage_errors(self._doing):
            self._file.write(chunk)
        self._digest.update(chunk)
        self._size += len(chunk)

    def finish(self) -> tuple[str, int]:
        """Hand everything to the system; the sha256 and the size of it."""
        with storage_errors(self._doing):
            # An older file may have been longer. To empty it at first would make some file
            # systems write it out as soon as it is closed.
            self._file.truncate()
            self._file.close()
        return self._digest.hexdigest(), self._size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            # Closing writes what is still buffered, which fails again on a full disk.
            with suppress(OSError):
                self._file.close()
            self._path.unlink(missing_ok=True)


class Flush:
    """One turn of bringing everything to the disk; kept by those who wait for it."""

    def __init__(self) -> None:
        self.is_done = False
        self.error: OSError | None = None


class Flusher:
    """Brings files and their names to the disk itself; safe to share between threads.

    Whoever comes while a flush is under way waits for the next one, and shares it with all who
    wait: a disk flushes for thirty threads in the time that it takes for one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opening, self._turn = Lock(), Lock()
        #: One descriptor for each file system that was found at the folder, for good.
        self._descriptors: dict[int, int] = {}
        self._next = Flush()

    def watch(self) -> None:
        """To be called before anything is written; raises OSError if there is no such folder.

        The system tells of a write that failed later once, and only to those who had the file
        system open by then.
        """
        self._descriptor()

    def flush(self, doing: str) -> None:
        """Return once everything written in this file system is on the disk.

        Raises StorageError; `doing` is for `storage_errors`.
        """
        # A flush that has begun may have missed what was written last.
        mine = self._next
        with self._turn:
            if not mine.is_done:
                self._next = Flush()
                self._run(mine)
        # All who waited for it depend on it, and nobody else does.
        if mine.error is not None:
            with storage_errors(doing):
                raise mine.error

    def _run(self, flush: Flush) -> None:
        try:
            sync_file_system(self._descriptor())
        except OSError as error:
            flush.error = error
        flush.is_done = True

    def _descriptor(self) -> int:
        device = self._folder.stat().st_dev
        with self._opening:
            if device not in self._descriptors:
                opened = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
                finalize(self, os.close, opened)
                self._descriptors[device] = opened
            return self._descriptors[device]


def sync_file_system(descriptor: int) -> None:
    """Write to the disk what the file system of an open file still holds in memory."""
    if SYNCFS is None:
        os.sync()
    elif SYNCFS(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def write_whole(target: Path, chunks: Iterable[bytes], *, doing: str) -> tuple[str, int]:
    """Write a whole file and return its sha256 and size; `doing` is for `storage_errors`.

    What `chunks` raises passes through as it is: requests' errors are OSErrors too.
    """
    with Draft(target, doing) as draft:
        for chunk in chunks:
            draft.write(chunk)
        return draft.finish()


def open_private(target: Path) -> BinaryIO:
    """Open a file that only its owner may read, to write it over."""
    return os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT, 0o600), "wb")


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
