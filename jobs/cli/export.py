"""A batch out of database and bucket into a folder."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ByteSize, TypeAdapter, ValidationError
from typer import BadParameter

from jobs import batches
from jobs.cli.home import Home
from jobs.dataset import Form, Summary, export_dataset
from jobs.dataset.shards import SHARD_BYTES
from jobs.dataset.stored import BatchItems

#: Formats that are written in shards.
SHARDED = (Form.WEBDATASET, Form.PARQUET)
#: A shard below this is mostly its own frame.
LEAST_SHARD_BYTES = 100_000


@dataclass(frozen=True)
class Shelf:
    """Where a dataset goes, and in which format."""

    out: Path
    form: Form = Form.FILES
    shard_bytes: int = SHARD_BYTES


def shelf_of(out: Path, form: Form, shard_size: str | None) -> Shelf:
    """What the options ask for."""
    if shard_size is None:
        return Shelf(out, form)
    hint = "--shard-size"
    if form not in SHARDED:
        raise BadParameter(f"is for {' and '.join(SHARDED)}, not for {form}", param_hint=hint)
    try:
        size = TypeAdapter(ByteSize).validate_python(shard_size)
    except ValidationError:
        size = ByteSize(0)
    if size < LEAST_SHARD_BYTES:
        raise BadParameter(
            f"{shard_size!r} is not a size of at least 100KB, such as 200MB or 1GB", param_hint=hint
        )
    return Shelf(out, form, size)


def export_batch(home: Home, batch: str, shelf: Shelf) -> Summary:
    """Write the dataset, or bring it up to date."""
    with home.database.reading() as db:
        found = batches.get_batch(db, home.project_id, batch)
    return export_dataset(
        shelf.form,
        BatchItems(home.database, found.id),
        home.storage.open,
        shelf.out,
        {"batch_id": found.id, "batch": found.name, **found.about},
        shard_bytes=shelf.shard_bytes,
    )


def remarks(summary: Summary, shelf: Shelf) -> Iterator[str]:
    """What of the outputs is not in the dataset, and why."""
    if summary.missing:
        yield f"{summary.missing} files are missing from the bucket: see {shelf.out}/dataset.json"
    if summary.deferred:
        yield (
            f"{summary.deferred:,} files brought columns that came while this was written: "
            "export again for them"
        )
    if summary.left_out:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in summary.left_out.items())
        yield (
            f"left out, for {shelf.form} is for pictures: {kinds}; "
            "another --format into another folder takes them"
        )
