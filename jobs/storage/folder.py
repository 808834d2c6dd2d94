"""A folder as a bucket: the files lie there as anybody would expect them.

What a file cannot say itself (type, sha256, metadata) is in a hidden note beside it. A file that a
person put there is an object too. Only one machine sees the folder, and nobody can be
given an address of it.
"""

import json
import mimetypes
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

from jobs.durable import Flusher, chunks_of, sha256_of, storage_errors, write_whole
from jobs.errors import ObjectMissing, StorageError
from jobs.storage.keys import check_key, is_name
from jobs.storage.probe import probe
from jobs.storage.protocol import StoredObject, UploadForm


class FolderStorage:
    """Keeps objects as files below a root."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._incoming = self.root / ".incoming"
        self._flusher = Flusher(self.root)

    def put(
        self,
        key: str,
        source: BinaryIO,
        *,
        size: int,
        content_type: str,
        sha256: str,
        metadata: Mapping[str, str],
        is_final: bool = False,
    ) -> None:
        """Write beside, check, rename into place, and return once it is on the disk.

        Until then whoever brings the bytes still has them, and puts them again after a power cut.
        A final file of this file system is not copied: it gets a second name.
        """
        target = self._path(key)
        facts = {"sha256": sha256, "content_type": content_type, "metadata": dict(metadata)}
        token = secrets.token_hex(8)
        body, note = self._incoming / token, self._incoming / f"{token}.json"
        doing = f"store {key} in the folder"
        with storage_errors(doing):
            for folder in (self._incoming, target.parent):
                if not folder.is_dir():
                    folder.mkdir(parents=True, exist_ok=True)
            self._flusher.watch()
            try:
                if not (is_final and link(source, body, size)):
                    told = write_whole(body, chunks_of(source), doing=doing)
                    if told != (sha256, size):
                        raise StorageError(f"The bytes for {key} are not what was announced.")
                write_whole(note, [json.dumps(facts, indent=1).encode()], doing=doing)
                # The note goes first, so that a file that can be seen is never without one.
                note.replace(note_of(target))
                body.replace(target)
            finally:
                body.unlink(missing_ok=True)
                note.unlink(missing_ok=True)
        self._flusher.flush(doing)

    def head(self, key: str) -> StoredObject | None:
        """What the note says; a file without a note is hashed."""
        path = self._path(key)
        with storage_errors(f"look at {key} in the folder"):
            if not path.is_file():
                return None
            facts = facts_of(path) or {
                "sha256": sha256_of(path),
                "content_type": mimetypes.guess_type(path.name)[0] or "application/octet-stream",
                "metadata": {},
            }
            return StoredObject(key=key, size=path.stat().st_size, **facts)

    def open(self, key: str) -> BinaryIO:
        """Open the file."""
        with storage_errors(f"read {key} in the folder"):
            try:
                return self._path(key).open("rb")
            except FileNotFoundError as error:
                raise ObjectMissing(f"The bucket does not hold {key}.") from error

    def list(self, prefix: str) -> Iterator[str]:
        """Walk the folder below the last slash of the prefix."""
        above = prefix.rpartition("/")[0]
        start = self._path(above) if above else self.root
        with storage_errors("list the folder"):
            for folder, names, files in os.walk(start):
                names[:] = filter(is_name, names)
                for name in filter(is_name, files):
                    key = Path(folder, name).relative_to(self.root).as_posix()
                    if key.startswith(prefix):
                        yield key

    def delete(self, key: str) -> None:
        """Delete the file, its note, and the folders that are empty then."""
        path = self._path(key)
        with storage_errors(f"delete {key} in the folder"):
            path.unlink(missing_ok=True)
            note_of(path).unlink(missing_ok=True)
        remove_empty(path.parent, self.root)

    def url(self, key: str, expires: timedelta) -> None:
        """Nobody else can read the folder."""
        check_key(key)

    def upload_form(
        self, key: str, *, size: int, content_type: str, expires: timedelta
    ) -> UploadForm | None:
        """Nobody else can write to the folder."""
        check_key(key)
        return None

    def clean(self, older_than: timedelta) -> None:
        """Delete old files that were never renamed into place."""
        limit = time.time() - older_than.total_seconds()
        with storage_errors("clear the folder"):
            for path in self._incoming.glob("*"):
                with suppress(FileNotFoundError):
                    # Not the time of writing: a file that has just got its second name may be old.
                    if path.stat().st_ctime < limit:
                        path.unlink()

    def check(self) -> None:
        """Write, read and delete a probe."""
        probe(self)

    def _path(self, key: str) -> Path:
        """Where the object lies; a link that leads out of the folder is refused too."""
        path = self.root / check_key(key)
        if not path.resolve().is_relative_to(self.root):
            raise ValueError(f"a link leads out of the bucket: {key!r}")
        return path


def note_of(path: Path) -> Path:
    """Where the facts about a file are; no object has a name like this."""
    return path.with_name(f".{path.name}.json")


def facts_of(path: Path) -> dict[str, Any] | None:
    """What the note says, if there is one."""
    try:
        facts: dict[str, Any] = json.loads(note_of(path).read_bytes())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return facts


def link(source: BinaryIO, target: Path, size: int) -> bool:
    """Give the file behind `source` a second name; False where that cannot be."""
    if os.fstat(source.fileno()).st_size != size:
        return False
    try:
        os.link(source.name, target)
    except OSError:
        # Another file system, one without links, or a file that is gone from its name.
        return False
    return True


def remove_empty(folder: Path, top: Path) -> None:
    """Remove a folder and those above it, below `top`, as far as they are empty."""
    while folder != top and folder.is_relative_to(top):
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent
