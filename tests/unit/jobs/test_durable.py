import ctypes
import errno
import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jobs import durable
from jobs.durable import Flusher
from jobs.errors import StorageError
from jobs.spool import Spool
from jobs.storage.folder import FolderStorage

OPENED = Path("/proc/self/fd")


class Disk:
    """Tells of a failed write as Linux does: once to each descriptor that was open by then."""

    def __init__(self) -> None:
        self._untold: set[str] = set()

    def fail(self) -> None:
        """Lose a write that the system had taken."""
        # What was open only to list them is closed by now, and its number is free again.
        self._untold = {path.name for path in list(OPENED.iterdir()) if path.is_dir()}

    def syncfs(self, descriptor: int) -> int:
        """Stand in for the system's function."""
        if str(descriptor) not in self._untold:
            return 0
        self._untold.remove(str(descriptor))
        ctypes.set_errno(errno.EIO)
        return -1


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(durable, "SYNCFS", disk.syncfs)
    return disk


def test_a_write_that_fails_behind_the_first_answer_is_told(disk: Disk, tmp_path: Path) -> None:
    # Given a disk that fails after the system has taken the first bytes
    def chunks() -> Iterator[bytes]:
        yield b"picture"
        disk.fail()

    spool = Spool(tmp_path / "spool")

    # When the spool's first answer is kept
    with pytest.raises(StorageError, match="Could not write the spool: the disk has an error"):
        spool.receive("attempt", chunks(), facts={}, max_bytes=100)

    # Then the failure was told, and what comes later does not suffer from it
    spool.receive("another", [b"picture"], facts={}, max_bytes=100)


def test_a_failure_that_another_process_was_told_of_is_told_here_too(
    disk: Disk, tmp_path: Path
) -> None:
    # Given two who share a disk
    ours, theirs = Flusher(tmp_path), Flusher(tmp_path)
    ours.watch()
    theirs.watch()

    # When it fails
    disk.fail()

    # Then both are told, once each
    for flusher in (theirs, ours):
        with pytest.raises(StorageError):
            flusher.flush("write")
        flusher.flush("write")


def test_all_who_wait_for_a_flush_that_fails_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fails(descriptor: int) -> int:
        ctypes.set_errno(errno.ENOSPC)
        return -1

    monkeypatch.setattr(durable, "SYNCFS", fails)
    flusher = Flusher(tmp_path)

    with ThreadPoolExecutor(8) as pool:
        flushes = [pool.submit(flusher.flush, "write") for _ in range(50)]

    assert {str(flush.exception()) for flush in flushes} == {"Could not write: the disk is full."}


def test_a_folder_as_bucket_is_told_of_a_write_that_fails_behind_it(
    disk: Disk, tmp_path: Path
) -> None:
    class Source:
        def __init__(self) -> None:
            self._left = [b"", b"picture"]

        def read(self, _: int) -> bytes:
            disk.fail()
            return self._left.pop()

    storage = FolderStorage(tmp_path / "bucket")
    with pytest.raises(StorageError, match="the disk has an error"):
        storage.put(
            "a.png",
            Source(),  # type: ignore[arg-type]
            size=7,
            content_type="image/png",
            sha256=hashlib.sha256(b"picture").hexdigest(),
            metadata={},
        )


def test_a_flusher_keeps_one_file_open_and_closes_it(tmp_path: Path) -> None:
    def count() -> int:
        return sum(path.resolve() == tmp_path.resolve() for path in OPENED.iterdir())

    flusher = Flusher(tmp_path)
    for _ in range(3):
        flusher.flush("write")
    while_used = count()
    del flusher

    assert (while_used, count()) == (1, 0)
