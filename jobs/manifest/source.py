"""A manifest's rows, whatever kind of file it is."""

from collections.abc import Callable, Iterator
from pathlib import Path

from jobs.errors import InvalidManifest
from jobs.manifest.csv_file import csv_rows, tsv_rows
from jobs.manifest.jsonl_file import jsonl_rows
from jobs.manifest.parquet_file import parquet_rows
from jobs.manifest.values import RowFault, SourceRow, one_line

READERS: dict[str, Callable[[Path], Iterator[SourceRow | RowFault]]] = {
    ".csv": csv_rows,
    ".tsv": tsv_rows,
    ".jsonl": jsonl_rows,
    ".ndjson": jsonl_rows,
    ".parquet": parquet_rows,
}


def source_rows(path: Path) -> Iterator[SourceRow | RowFault]:
    """The rows in the order of the file; `InvalidManifest` if it has none or cannot be read."""
    is_empty = True
    try:
        for row in _reader(path)(path):
            is_empty = False
            yield row
    except InvalidManifest as error:
        raise InvalidManifest([f"{path}: {one_line(line)}" for line in error.lines]) from error
    except OSError as error:
        raise InvalidManifest([f"{path}: {error.strerror or one_line(str(error))}"]) from error
    if is_empty:
        raise InvalidManifest([f"{path}: has no rows"])


def _reader(path: Path) -> Callable[[Path], Iterator[SourceRow | RowFault]]:
    if not path.exists():
        raise InvalidManifest(["there is no such file"])
    if not path.is_file():
        raise InvalidManifest(["is not a file"])
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InvalidManifest([f"must end in one of {', '.join(READERS)}"])
    if path.stat().st_size == 0:
        raise InvalidManifest(["is empty"])
    return reader
