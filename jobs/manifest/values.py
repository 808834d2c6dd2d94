"""What a manifest's rows are: as read (`SourceRow`), as jobs (`JobRow`), as faults (`RowFault`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs.errors import Fault

#: Columns that are about the job and not for the API.
OPERATION, NAME, PRIORITY = "operation", "name", "priority"
RESERVED = frozenset({OPERATION, NAME, PRIORITY})

#: A column `metadata.x` becomes the job's metadata `{"x": value}`.
METADATA_PREFIX = "metadata."


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRow:
    """One row as the file has it. Absent cells are not in `cells`."""

    #: Counts the data rows from 1, as people do.
    number: int
    #: The line of the file where it begins; None where a file has no lines.
    line: int | None
    cells: Mapping[str, Any]
    #: Every cell is text still to be understood, as in CSV.
    is_text: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """One job to submit. Local input files are absolute paths; other references are untouched."""

    #: Counts the expanded rows from 0.
    row: int
    source_row: int
    operation: str
    params: dict[str, Any]
    inputs: dict[str, str]
    name: str | None
    priority: int
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFault:
    """All that is wrong with one row of the manifest, or (`source_row` None) with the options."""

    source_row: int | None
    line: int | None
    faults: tuple[Fault, ...]

    def lines(self) -> list[str]:
        """One line for each fault: `row 12 (line 13): width: must be ...`."""
        return [f"{self._place}{one_line(str(fault))}" for fault in self.faults]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    @property
    def _place(self) -> str:
        if self.source_row is None:
            return ""
        if self.line is None:
            return f"row {self.source_row}: "
        return f"row {self.source_row} (line {self.line}): "


def one_line(text: str) -> str:
    """The text without anything that breaks a line or disturbs a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
