"""The start of a batch whose rows came first: its waiting jobs are queued, many at once."""

from datetime import datetime

from sqlalchemy import Connection, insert, literal, select, update

from jobs.queue.moves import BATCH, EVENT, JOB
from jobs.states import JobState

#: Jobs queued in one transaction: others wait for SQLite's writer no longer than that takes.
JOBS_AT_ONCE = 2000


def release_started(
    db: Connection, batch_id: str, now: datetime, *, limit: int = JOBS_AT_ONCE
) -> int:
    """Queue jobs that waited for this batch, if it is started by now; returns their number."""
    is_started = (
        select(BATCH.c.id)
        .where(
            BATCH.c.id == JOB.c.batch_id,
            BATCH.c.loaded_at.is_not(None),
            BATCH.c.canceled_at.is_(None),
        )
        .exists()
    )
    chosen = (
        select(JOB.c.id)
        .where(JOB.c.batch_id == batch_id, JOB.c.state == JobState.WAITING, is_started)
        .order_by(JOB.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True, of=JOB)
    )
    ids = list(db.execute(chosen).scalars())
    if not ids:
        return 0
    values = {"state": JobState.QUEUED, "due_at": now}
    db.execute(update(JOB).where(JOB.c.id.in_(ids), JOB.c.state == JobState.WAITING).values(values))
    _write_events(db, ids, now)
    return len(ids)


def _write_events(db: Connection, ids: list[str], now: datetime) -> None:
    columns = {
        "job_id": JOB.c.id,
        "project_id": JOB.c.project_id,
        "batch_id": JOB.c.batch_id,
        "at": literal(now, EVENT.c.at.type),
        "verb": literal("started"),
        "origin": literal(str(JobState.WAITING)),
        "target": literal(str(JobState.QUEUED)),
        "charged_milli": literal(0),
        "tallied": literal(False),
    }
    source = select(*columns.values()).where(JOB.c.id.in_(ids)).order_by(JOB.c.id)
    db.execute(insert(EVENT).from_select(list(columns), source))
