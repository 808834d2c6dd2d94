"""CSV and TSV manifests: a header line, then a row of text cells for each job."""

import csv
from collections.abc import Iterator
from pathlib import Path

from jobs.errors import Fault, InvalidManifest
from jobs.manifest.lines import MAX_LINE_CHARACTERS, Lines
from jobs.manifest.values import RowFault, SourceRow, one_line


def csv_rows(path: Path, *, delimiter: str = ",") -> Iterator[SourceRow | RowFault]:
    """The rows below the header. Rows of empty cells are passed over and not counted."""
    # The limit is the interpreter's own; no part of Darkroom needs the lower default of 131,072.
    csv.field_size_limit(MAX_LINE_CHARACTERS)
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        lines = Lines(file)
        reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
        columns = _header(reader, lines)
        yield from _rows(reader, lines, columns)


def tsv_rows(path: Path) -> Iterator[SourceRow | RowFault]:
    """The same with tabs."""
    return csv_rows(path, delimiter="\t")


def _header(reader: Iterator[list[str]], lines: Lines) -> list[str]:
    try:
        columns = [column.strip() for column in next(reader, [])]
    except csv.Error as error:
        raise InvalidManifest([f"line 1: {error}"]) from error
    if faults := lines.faults():
        raise InvalidManifest([f"the header: {fault}" for fault in faults])
    if not any(columns):
        raise InvalidManifest(["line 1: the names of the columns must stand here"])
    if len(columns) == 1 and ";" in columns[0]:
        raise InvalidManifest(["line 1: the columns are parted by semicolons; use commas"])
    twice = sorted({column for column in columns if column and columns.count(column) > 1})
    if twice:
        raise InvalidManifest(
            [f"line 1: the column {one_line(column)!r} stands here twice" for column in twice]
        )
    return columns


def _rows(
    reader: Iterator[list[str]], lines: Lines, columns: list[str]
) -> Iterator[SourceRow | RowFault]:
    number = 0
    while True:
        line = lines.number + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            # Where one quotation mark is wrong, nobody knows where the next row begins.
            message = f"{error}; the rest of the file was not read"
            fault = Fault(field="", code="bad_csv", message=message)
            yield RowFault(source_row=number + 1, line=line, faults=(fault,))
            return
        if row is None:
            return
        faults = lines.faults()
        if not any(row):
            continue
        number += 1
        faults += _ragged(row, columns)
        if faults:
            yield RowFault(source_row=number, line=line, faults=faults)
            continue
        cells = {column: cell for column, cell in zip(columns, row, strict=False) if cell}
        yield SourceRow(number=number, line=line, cells=cells, is_text=True)


def _ragged(row: list[str], columns: list[str]) -> tuple[Fault, ...]:
    """Cells that no column names; empty ones do no harm."""
    if any(row[len(columns) :]):
        message = f"has {len(row)} cells for {len(columns)} columns; is a comma not quoted?"
        return (Fault(field="", code="too_many_cells", message=message),)
    if "" in columns and any(c for name, c in zip(columns, row, strict=False) if not name):
        message = "has a cell in a column without a name"
        return (Fault(field="", code="unnamed_column", message=message),)
    return ()
