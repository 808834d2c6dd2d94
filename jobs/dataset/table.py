"""A table with files in it, written row group by row group.

A file is a struct of its bytes and its name; the schema says which ones are pictures.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import pyarrow
import pyarrow.parquet

from jobs.dataset.columns import Columns, medium_of
from jobs.dataset.folder import json_line
from jobs.dataset.sample import Sample
from jobs.dataset.shape import Shape

#: A row group is in memory as a whole, of whoever writes it and of whoever reads it.
GROUP_BYTES = 2**26
GROUP_ROWS = 1_000

FILE = pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})

#: What Hugging Face calls the columns that it can show.
SHOWN = {"image": "Image", "video": "Video"}

TYPES = {
    "bool": pyarrow.bool_(),
    "int64": pyarrow.int64(),
    "float64": pyarrow.float64(),
    "string": pyarrow.string(),
}


class Sink(Protocol):
    """A file that a table can be written into."""

    def write(self, piece: Any, /) -> int:
        """Append."""
        ...

    def tell(self) -> int:
        """How much was written."""
        ...


class TableShard:
    """A table that is being written, one row group after the other."""

    def __init__(
        self, sink: Sink, writer: pyarrow.parquet.ParquetWriter, schema: pyarrow.Schema
    ) -> None:
        self._sink, self._writer, self._schema = sink, writer, schema
        self._rows: list[dict[str, Any]] = []
        self._waiting = 0

    def room_for(self, sample: Sample, limit: int) -> bool:
        """Whether it stays below so many bytes."""
        return self._sink.tell() + self._waiting + size_of(sample) <= limit

    def add(self, sample: Sample) -> None:
        """Add a row."""
        file = {"bytes": sample.file.read_bytes(), "path": sample.file.name}
        self._rows.append({medium_of(sample.output): file, **sample.record})
        self._waiting += size_of(sample)
        if self._waiting >= GROUP_BYTES or len(self._rows) == GROUP_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write the rows that wait, as a group."""
        if self._rows:
            rows = pyarrow.RecordBatch.from_pylist(self._rows, schema=self._schema)
            # What they are made of is not needed twice.
            self._rows.clear()
            self._waiting = 0
            self._writer.write_batch(rows)


def size_of(sample: Sample) -> int:
    """About the bytes of a row: texts may be larger than pictures."""
    return sample.output.bytes + len(json_line(sample.record))


def schema_of(columns: Columns) -> pyarrow.Schema:
    """The columns with their types, and what Hugging Face shows of them."""
    fields = dict.fromkeys(columns.media, FILE) | {
        name: arrow_type(shape) for name, shape in columns.shape.items()
    }
    features = {name: {"_type": SHOWN[name]} for name in columns.media if name in SHOWN}
    about = json.dumps({"info": {"features": features}})
    return pyarrow.schema(list(fields.items()), metadata={"huggingface": about})


def arrow_type(shape: Shape) -> pyarrow.DataType:
    """The type of a settled shape."""
    if isinstance(shape, dict):
        return pyarrow.struct({name: arrow_type(part) for name, part in shape.items()})
    if isinstance(shape, list):
        return pyarrow.list_(arrow_type(shape[0]))
    return TYPES[shape or "string"]


@contextmanager
def table(sink: Sink, columns: Columns) -> Iterator[TableShard]:
    """A table written into an open file."""
    schema = schema_of(columns)
    # A dictionary of pictures would fill the memory. Their extremes would be pictures, and the
    # checksums of the pages do not guard statistics.
    writer = pyarrow.parquet.ParquetWriter(
        sink, schema, use_dictionary=False, write_statistics=False, write_page_checksum=True
    )
    with writer:
        shard = TableShard(sink, writer, schema)
        yield shard
        shard.flush()
