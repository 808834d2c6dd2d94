"""Parquet manifests: a column for each parameter, with types of its own."""

from collections.abc import Iterator
from decimal import Decimal
from math import isnan
from pathlib import Path
from typing import Any

from jobs.catalog.storable import json_fault
from jobs.errors import Fault, InvalidManifest
from jobs.manifest.jsonl_file import flatten
from jobs.manifest.values import RowFault, SourceRow

#: Rows in memory at a time.
BATCH_ROWS = 1_000

#: Where pandas keeps a table's index.
PANDAS_INDEX = "__index_level_"


def parquet_rows(path: Path) -> Iterator[SourceRow | RowFault]:
    """The rows of the file, read in batches."""
    for number, row in enumerate(_records(path), start=1):
        cells, faults = flatten(row)
        faults += tuple(
            Fault(field=name, code="bad_value", message=fault)
            for name, value in cells.items()
            if (fault := json_fault(value))
        )
        if faults:
            yield RowFault(source_row=number, line=None, faults=faults)
        else:
            yield SourceRow(number=number, line=None, cells=cells, is_text=False)


def _records(path: Path) -> Iterator[dict[str, Any]]:
    # Takes a while to import, which every command would pay for.
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise InvalidManifest([f"the column {name!r} is there twice" for name in twice])
            columns = [name for name in names if not name.startswith(PANDAS_INDEX)]
            for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=columns):
                for record in batch.to_pylist():
                    yield {name: _plain(value) for name, value in record.items()}
    except (pyarrow.ArrowException, ValueError, OverflowError) as error:
        raise InvalidManifest([f"is not readable as Parquet: {error}"]) from error


def _plain(value: Any) -> Any:
    """Decimals as numbers, and a float's NaN, which pandas writes for a gap, as absent."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return None if isinstance(value, float) and isnan(value) else value
