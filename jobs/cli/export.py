"""A batch out of database and bucket into a folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Row

from jobs import batches, history
from jobs.cli.home import Home
from jobs.dataset import Item, ItemOutput, Summary, export_files


def export_batch(home: Home, batch: str, out: Path) -> Summary:
    """Write the dataset, or bring it up to date."""
    with home.database.reading() as db:
        found = batches.get_batch(db, home.project_id, batch)
        about = {"batch_id": found.id, "batch": found.name, **found.about}
        items = (item(job, outputs) for job, outputs in history.walk_batch(db, found.id))
        return export_files(items, home.storage.open, out, about)


def item(job: Row[Any], outputs: list[Row[Any]]) -> Item:
    """A job as it is exported."""
    return Item(
        row=job.row,
        job_id=job.id,
        operation=job.operation,
        state=job.state,
        name=job.name,
        params=job.params,
        inputs=job.inputs,
        seed=job.seed,
        finish_reason=job.finish_reason,
        credits_milli=job.charged_milli,
        error=job.error,
        metadata=job.labels,
        outputs=tuple(item_outputs(outputs)),
    )


def item_outputs(outputs: list[Row[Any]]) -> Iterator[ItemOutput]:
    """A job's outputs as they are exported."""
    for output in outputs:
        yield ItemOutput(
            index=output.number,
            key=output.key,
            content_type=output.content_type,
            bytes=output.bytes,
            sha256=output.sha256,
            width=output.width,
            height=output.height,
            seed=output.seed,
            finish_reason=output.finish_reason,
        )
