"""Batches from outside: rows come first, in as many pieces as it takes, and then the start.

Rows of a batch that is not started wait; a piece that is sent again changes nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select, update
from sqlalchemy.exc import IntegrityError

from jobs.batches import BATCH, JOB, NewBatch, carry_out, lock_batch, open_batch
from jobs.db import Database
from jobs.errors import Conflict, Fault
from jobs.queue import bulk
from jobs.queue.bulk import Bulk
from jobs.queue.intake import Draft, NewJob, admit
from jobs.submission import faults_by_job

RowFaults = Mapping[int, list[Fault]]


def open_once(database: Database, wanted: NewBatch, *, project_id: str) -> tuple[str, bool]:
    """Make a batch, or find the same one made before; raises Conflict for another of that name."""
    try:
        return _open(database, wanted, project_id)
    except IntegrityError:
        # Somebody made it in the same moment; now it is there.
        return _open(database, wanted, project_id)


def _open(database: Database, wanted: NewBatch, project_id: str) -> tuple[str, bool]:
    now = database.now()
    with database.transaction() as db:
        return open_batch(db, wanted, now, project_id=project_id)


def add_rows(
    db: Connection, project_id: str, batch_id: str, drafts: Sequence[Draft], now: datetime
) -> RowFaults:
    """Let rows in; raises Conflict once the batch is started. Returns the faults of the others.

    Rows that are there already stay as they are.
    """
    # Its rows come one piece after the other.
    batch = lock_batch(db, project_id, batch_id)
    if batch.loaded_at is not None or batch.canceled_at is not None:
        raise Conflict("the batch is started or canceled already, and takes no more rows")
    faults = faults_by_job(db, project_id, [draft.job for draft in drafts])
    good = [draft for place, draft in enumerate(drafts) if place not in faults]
    if good:
        rows = admit(db, good, now, batch_id=batch_id, is_waiting=True)
        _count(db, batch, [row["estimated_milli"] for row in rows])
    return {row_of(drafts[place].job): found for place, found in faults.items()}


def row_of(job: NewJob) -> int:
    """The row of a batch's job."""
    assert job.row is not None
    return job.row


def _count(db: Connection, batch: Row[Any], prices: Sequence[int]) -> None:
    milli = batch.about.get("credits_milli", 0) + sum(prices)
    db.execute(
        update(BATCH)
        .where(BATCH.c.id == batch.id)
        .values(size=BATCH.c.size + len(prices), about=batch.about | {"credits_milli": milli})
    )


def next_row(db: Connection, batch_id: str) -> int:
    """The row behind the last one that is in."""
    last = select(func.max(JOB.c.row)).where(JOB.c.batch_id == batch_id)
    found = db.execute(last).scalar_one()
    return 0 if found is None else int(found) + 1


def start(database: Database, project_id: str, batch_id: str) -> Iterator[int]:
    """Start a batch; yields how many of its jobs were queued by now.

    Once begun it is started; if it is cut off, the beat queues the rest.
    """
    now = database.now()
    with database.transaction() as db:
        if lock_batch(db, project_id, batch_id).canceled_at is not None:
            raise Conflict("the batch is canceled")
        loaded_at = func.coalesce(BATCH.c.loaded_at, now)
        db.execute(update(BATCH).where(BATCH.c.id == batch_id).values(loaded_at=loaded_at))
        bulk.begin(db, batch_id, Bulk.START, now)
    yield from carry_out(database, batch_id)
