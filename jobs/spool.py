"""The spool: received bytes, kept on this machine's disk until they are in the bucket.

`<attempt>.body` and `<attempt>.json` together are one answer. While it arrives it is a `.part`,
which nobody reads. A body counts only if its facts stand beside it and its sha256 is theirs, so a
crash at any moment leaves a whole answer or none. `<attempt>.marks` counts who died of it.
"""

import fcntl
import os
import re
import secrets
import shutil
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

from pydantic import BaseModel, JsonValue

from jobs.durable import Flusher, sha256_of, storage_errors, write_whole
from jobs.errors import StorageError

#: Room that is left to the database and the logs when answers fill the disk.
RESERVE_BYTES = 64 << 20

WRITING = "write the spool"
#: Files that this process keeps to write over.
MOST_SPENT = 64
#: So long after its last death an answer may be tried again: a bucket that hung, and workers that
#: were killed meanwhile for reasons of their own, look the same.
DEADLY = timedelta(days=1)
ATTEMPT_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


@dataclass(frozen=True, kw_only=True)
class Spooled:
    """A whole answer on this machine's disk."""

    attempt_id: str
    path: Path
    size: int
    sha256: str
    facts: Mapping[str, JsonValue]

    def open(self) -> BinaryIO:
        """Read the bytes."""
        with storage_errors("read the spool"):
            return self.path.open("rb")


class Note(BaseModel):
    """What stands in the `.json` beside a body."""

    sha256: str
    size: int
    facts: dict[str, JsonValue]


class Spool:
    """A folder of answers, shared by all processes of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._flusher = Flusher(folder)
        #: Notes of discarded answers: a file system that has deleted thousands of files looks at
        #: each of them before it makes a new one.
        self._spent: deque[Path] = deque()

    def receive(
        self,
        attempt_id: str,
        chunks: Iterable[bytes],
        *,
        facts: Mapping[str, JsonValue],
        max_bytes: int,
    ) -> Spooled:
        """Write an answer down as it arrives; once it returns, a crash cannot lose it.

        What `chunks` raises passes through, and nothing is kept. If the attempt's answer was
        already here (a slow worker and its heir may both fetch it), the first one stays.
        """
        part = self._part()
        draft = self._new_draft()
        with storage_errors(WRITING):
            if not self.folder.is_dir():
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._flusher.watch()
        try:
            sha256, size = write_whole(part, limited(chunks, max_bytes), doing=WRITING)
            note = Note(sha256=sha256, size=size, facts=dict(facts))
            write_whole(draft, [note.model_dump_json().encode()], doing=WRITING)
            with storage_errors(WRITING), self._locked():
                kept = self.find(attempt_id) or self._accept(attempt_id, part, draft, note)
        finally:
            part.unlink(missing_ok=True)
            draft.unlink(missing_ok=True)
        self._flusher.flush(WRITING)
        return kept

    def find(self, attempt_id: str) -> Spooled | None:
        """The attempt's answer, if it is here whole; its bytes are read to make sure."""
        body = self._file(attempt_id, "body")
        with storage_errors("read the spool"):
            try:
                note = Note.model_validate_json(self._file(attempt_id, "json").read_bytes())
                if sha256_of(body) != note.sha256:
                    return None
            except (FileNotFoundError, ValueError):
                return None
        return Spooled(attempt_id=attempt_id, path=body, **dict(note))

    def discard(self, attempt_id: str) -> None:
        """Forget an answer that is in the bucket, or that is of no use."""
        with storage_errors("clear the spool"):
            # The body goes first: facts alone count for nothing.
            self._file(attempt_id, "body").unlink(missing_ok=True)
            note = self._file(attempt_id, "json")
            if len(self._spent) >= MOST_SPENT:
                note.unlink(missing_ok=True)
                return
            spent = self._part()
            with suppress(FileNotFoundError):
                note.rename(spent)
                self._spent.append(spent)

    def pending(self, older_than: timedelta = timedelta(0)) -> Iterator[str]:
        """The attempts whose answers have been here for so long, for the sweep."""
        limit = time.time() - older_than.total_seconds()
        with storage_errors("read the spool"):
            for body in sorted(self.folder.glob("*.body")):
                if modified_at(body) > limit or not ATTEMPT_ID.fullmatch(body.stem):
                    continue
                if self.find(body.stem):
                    yield body.stem

    @contextmanager
    def alone(self, attempt_id: str, *, most_deaths: int) -> Iterator[bool]:
        """Have an answer to oneself, if nobody has it and not too many died who had.

        Whoever has it leaves a mark on the disk, and wipes it off at the end: a mark that nobody
        holds is a death, and counts for a while. `receive`, `find` and `discard` do not ask for
        this.
        """
        path = self._file(attempt_id, "marks")
        with storage_errors("mark an answer"):
            marks = path.open("ab")
        with marks:
            is_held = not try_lock(marks)
            is_deadly = marks.tell() >= most_deaths
            if is_held or (is_deadly and modified_at(path) > time.time() - DEADLY.total_seconds()):
                yield False
                return
            # A full disk is no reason to leave on it what may go.
            with suppress(OSError):
                os.write(marks.fileno(), b".")
            try:
                yield True
            finally:
                marks.truncate(0)

    def clean(self, older_than: timedelta) -> int:
        """Delete what a crash left half done so long ago; say how many files and folders it was."""
        cleaned, limit = 0, time.time() - older_than.total_seconds()
        with storage_errors("clear the spool"):
            for path in self.folder.glob("*"):
                if is_half(path) and modified_at(path) < limit:
                    remove(path)
                    cleaned += 1
        return cleaned

    def has_room(self, size: int) -> bool:
        """Whether so many bytes fit on the disk and leave the reserve free."""
        with storage_errors("look at the spool"):
            if not self.folder.is_dir():
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return shutil.disk_usage(self.folder).free >= size + RESERVE_BYTES

    def _new_draft(self) -> Path:
        """Where a note is written before it counts: over a spent one, if there is any."""
        try:
            return self._spent.popleft()
        except IndexError:
            return self._part()

    def _part(self) -> Path:
        return self.folder / f"{secrets.token_hex(8)}.part"

    def _accept(self, attempt_id: str, part: Path, draft: Path, note: Note) -> Spooled:
        """Let a received body count: its facts come first, the second rename is the last word."""
        body = self._file(attempt_id, "body")
        draft.replace(self._file(attempt_id, "json"))
        part.replace(body)
        return Spooled(attempt_id=attempt_id, path=body, **dict(note))

    def _file(self, attempt_id: str, ending: str) -> Path:
        if not ATTEMPT_ID.fullmatch(attempt_id):
            raise ValueError(f"not an attempt's id: {attempt_id[:100]!r}")
        return self.folder / f"{attempt_id}.{ending}"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One process at a time decides which body counts."""
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def limited(chunks: Iterable[bytes], max_bytes: int) -> Iterator[bytes]:
    """Pass chunks on; raises StorageError when they grow beyond the limit."""
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > max_bytes:
            raise StorageError(f"The answer is larger than {max_bytes:,} bytes.")
        yield chunk


def is_half(path: Path) -> bool:
    """Whether this is nothing unless somebody works on it: folders hold an answer's pictures while
    they are uploaded."""
    if path.suffix in {".json", ".marks"}:
        return not path.with_suffix(".body").exists()
    return path.suffix == ".part" or path.is_dir()


def try_lock(file: BinaryIO) -> bool:
    """Lock an open file, unless somebody else has; tells whether it was."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    file.seek(0, os.SEEK_END)
    return True


def remove(path: Path) -> None:
    """Delete a file, or a folder with all that is in it; it may be gone already."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def modified_at(path: Path) -> float:
    """When a file was last written; for one that is gone, just now."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()
