"""The format `parquet`: tables with the files in them, as Hugging Face's viewer and loader take."""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from io import RawIOBase
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from jobs.dataset.columns import Columns, learn_columns
from jobs.dataset.fetch import OpenOutput
from jobs.dataset.folder import replacing
from jobs.dataset.form import Form
from jobs.dataset.item import Item
from jobs.dataset.sample import passing_samples
from jobs.dataset.shard import Damaged, ShardForm
from jobs.dataset.table import FILE, TableShard, schema_of, table
from jobs.errors import Conflict

#: Read at once of a shard that is checked.
CHECKED_ROWS = 16


@contextmanager
def writing(path: Path, columns: Columns) -> Iterator[TableShard]:
    """A new shard."""
    with replacing(path) as file, table(file, columns) as shard:
        yield shard


def contents(path: Path) -> Iterator[tuple[str, str]]:
    """The keys and sha256 of a shard that is as it was written; raises Damaged."""
    with (
        noticing_damage(),
        pyarrow.parquet.ParquetFile(path, page_checksum_verification=True) as file,
    ):
        if not {"file_name", "sha256"} <= set(file.schema_arrow.names):
            raise Conflict(f"{path} was not written here; move it elsewhere.")
        for batch in file.iter_batches(batch_size=CHECKED_ROWS):
            for row in batch.to_pylist():
                yield checked(row)


def files(path: Path) -> Iterator[tuple[str, bytes]]:
    """The files in a shard, but for the groups of rows that are torn."""
    # One wrong byte need not take its whole page along: whoever takes a file looks at its sha256.
    with suppress(Damaged), noticing_damage(), pyarrow.parquet.ParquetFile(path) as file:
        media = [field.name for field in file.schema_arrow if field.type == FILE]
        for group in range(file.num_row_groups):
            with suppress(Damaged), noticing_damage():
                for batch in file.iter_batches(CHECKED_ROWS, [group], media):
                    for row in batch.to_pylist():
                        yield from ((f["path"], f["bytes"]) for f in row.values() if f)


@contextmanager
def noticing_damage() -> Iterator[None]:
    """Tell damage, of which there are many signs, from a disk or a memory that fails."""
    try:
        yield
    except OSError as error:
        # The system's errors have a number, those of the format have none.
        if error.errno is not None:
            raise
        raise Damaged("it is torn") from error
    except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError, ValueError, TypeError) as error:
        raise Damaged("it is torn") from error


def checked(row: dict[str, Any]) -> tuple[str, str]:
    """A row's key and sha256; raises Damaged if its file has another one."""
    name = row["file_name"]
    files = (value for value in row.values() if isinstance(value, dict) and "bytes" in value)
    content = next((file["bytes"] for file in files if file.get("path") == name), b"")
    if hashlib.sha256(content).hexdigest() != row["sha256"]:
        raise Damaged(f"{name} has another checksum")
    return Path(name).stem, row["sha256"]


def fits(path: Path, columns: Columns) -> bool:
    """Whether a shard has these columns: a loader takes those of the first one for all."""
    found, wanted = pyarrow.parquet.read_schema(path), schema_of(columns)
    # Parquet notes numbers of its own with each field, so their metadata is not compared.
    return bool(found.equals(wanted) and found.metadata == wanted.metadata)


PARQUET = ShardForm(
    form=Form.PARQUET,
    # Of files with this name alone the loader makes the split `train`.
    file_name="train-{:05}.parquet",
    writing=writing,
    contents=contents,
    files=files,
    fits=fits,
)


class Outlet(RawIOBase):
    """A file that is only ever written on, and taken away piece by piece."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._written = 0

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, piece: Any) -> int:
        """Keep a piece until it is taken."""
        self._pieces.append(bytes(piece))
        self._written += len(piece)
        return len(piece)

    def tell(self) -> int:
        """How much was written, taken or not."""
        return self._written

    def take(self) -> Iterator[bytes]:
        """What has not been taken yet."""
        pieces, self._pieces = self._pieces, []
        yield from pieces


def parquet_stream(items: Iterable[Item], open_output: OpenOutput) -> Iterator[bytes]:
    """All samples as one table. A StorageError cuts it off; then it has no footer.

    The items are read twice.
    """
    columns, outlet = learn_columns(items), Outlet()
    samples = passing_samples(items, open_output, columns)
    with table(outlet, columns) as shard, closing(samples):
        for sample in samples:
            shard.add(sample)
            yield from outlet.take()
    yield from outlet.take()
