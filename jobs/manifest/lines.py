"""The lines of a text manifest, and what is wrong with them as text."""

from typing import TextIO

from jobs.catalog.storable import text_fault
from jobs.errors import Fault, InvalidManifest

#: A `data:` input holds up to 1 MiB, 1.4 million characters of base64; a row may have a few.
MAX_LINE_CHARACTERS = 8 * 2**20


class Lines:
    """Iterates over a file's lines and keeps the faults of those read since the last `faults()`.

    Open the file with `errors="surrogateescape"`, so that bad bytes spoil only their own row.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._faults: list[Fault] = []
        #: The number of the line read last, from 1.
        self.number = 0

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> str:
        line = self._file.readline(MAX_LINE_CHARACTERS + 1)
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) > MAX_LINE_CHARACTERS:
            raise InvalidManifest(
                [f"line {self.number}: is longer than {MAX_LINE_CHARACTERS:,} characters"]
            )
        if fault := text_fault(line):
            message = f"line {self.number} {fault}; the file must be plain text in UTF-8"
            self._faults.append(Fault(field="", code="bad_text", message=message))
        return line

    def faults(self) -> tuple[Fault, ...]:
        """The faults found since the last call."""
        found, self._faults = tuple(self._faults), []
        return found
