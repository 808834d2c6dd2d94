"""A batch as it stands in the database, as items in the order of their rows."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from sqlalchemy import Row

from jobs import history
from jobs.dataset.item import Item, ItemOutput
from jobs.db import Database


class Abandoned(Exception):
    """Nobody wants these items any more."""


@dataclass(frozen=True, slots=True)
class BatchItems:
    """Every job of a batch, as often as it is read."""

    database: Database
    batch_id: str
    #: Set it from another thread, and a walk raises Abandoned instead of reading on.
    unwanted: Event = field(default_factory=Event)

    def __iter__(self) -> Iterator[Item]:
        """Between its pages nothing is held, however slow the reader is."""
        last = -1
        while True:
            if self.unwanted.is_set():
                raise Abandoned
            with self.database.reading() as db:
                page = history.page_of_batch(db, self.batch_id, after=last)
            if not page:
                return
            for job, outputs in page:
                yield as_item(job, outputs)
            last = page[-1][0].row


def as_item(job: Row[Any], outputs: list[Row[Any]]) -> Item:
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
        outputs=tuple(as_output(output) for output in outputs),
    )


def as_output(output: Row[Any]) -> ItemOutput:
    """A job's output as it is exported."""
    return ItemOutput(
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
