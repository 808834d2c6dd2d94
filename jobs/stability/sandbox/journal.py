"""An append-only file of JSON lines: what the sandbox still knows after it was killed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

Record = dict[str, Any]


class Journal(Protocol):
    """Keeps records in their order."""

    def replay(self) -> Iterator[Record]:
        """Every record written by earlier processes."""
        ...

    def append(self, record: Record) -> None:
        """Keep one more; it outlives the process from here on."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


class NoJournal:
    """Forgets everything: the sandbox lives in memory only."""

    def replay(self) -> Iterator[Record]:
        """Nothing."""
        return iter(())

    def append(self, record: Record) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class FileJournal:
    """A file in the state folder.

    A line is handed to the operating system before `append` returns. So it outlives a kill of the
    process; a power cut it may not.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "journal.jsonl"
        self._path.touch()
        self._end_the_last_line()
        self._file = self._path.open("ab", buffering=0)

    def replay(self) -> Iterator[Record]:
        """Every record; a line that a kill cut short was never acted on, and is skipped."""
        with self._path.open(encoding="utf-8") as lines:
            for line in lines:
                try:
                    record = json.loads(line)
                except ValueError:
                    continue
                yield record

    def append(self, record: Record) -> None:
        """Write one line."""
        self._file.write(json.dumps(record, separators=(",", ":")).encode() + b"\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _end_the_last_line(self) -> None:
        """Keep a line that was cut short from swallowing the next one."""
        content = self._path.read_bytes()
        if content and not content.endswith(b"\n"):
            with self._path.open("ab") as file:
                file.write(b"\n")
