"""Which batches are over, each end told once."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, or_, select, update

from jobs import figures, tallies
from jobs.models import Batch, Job, table
from jobs.public import batch_public
from jobs.states import FINAL, OPEN

JOB = table(Job)
BATCH = table(Batch)


def batches_over(
    db: Connection, events: Sequence[Row[Any]], heard: set[str], now: datetime
) -> list[str]:
    """Those of the `heard` ones that are over, and whose end was not told.

    A batch of which a job was opened again ends anew.
    """
    reopened = {e.batch_id for e in events if e.origin in FINAL and e.target not in FINAL}
    for batch_id in sorted(reopened - {None}):
        change = update(BATCH).where(BATCH.c.id == batch_id, BATCH.c.told_at.is_not(None))
        db.execute(change.values(told_at=None))
    return [batch_id for batch_id in sorted(heard) if tell_once(db, batch_id, now)]


def tell_once(db: Connection, batch_id: str, now: datetime) -> bool:
    """Take a batch's end to be told, if it is over; of several who try, one does."""
    open_job = select(JOB.c.id).where(JOB.c.batch_id == batch_id, JOB.c.state.in_(OPEN))
    rows = select(func.count()).where(JOB.c.batch_id == batch_id).scalar_subquery()
    # A load may be cut off behind its last row: then all are there, and nothing says so.
    is_all_there = or_(
        BATCH.c.loaded_at.is_not(None), BATCH.c.canceled_at.is_not(None), BATCH.c.size <= rows
    )
    taken = db.execute(
        update(BATCH)
        .where(BATCH.c.id == batch_id, BATCH.c.told_at.is_(None), is_all_there)
        .where(~open_job.exists())
        .values(told_at=now)
    )
    return taken.rowcount == 1


def batches_shown(db: Connection, ids: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The batches as the API shows them."""
    for row in db.execute(select(BATCH).where(BATCH.c.id.in_(ids))):
        counts = tallies.counts(db, batch_id=row.id)
        yield row.id, batch_public(row, counts, losses=figures.losses(db, row.id))
