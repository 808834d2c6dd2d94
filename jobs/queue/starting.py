"""The start of a batch whose rows came first: its waiting jobs are queued, many at once."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, func, select

from jobs.queue.dispatch import lock
from jobs.queue.many import move_all
from jobs.queue.moves import BATCH, JOB
from jobs.queue.needs import NEED
from jobs.states import JobState


def release_started(db: Connection, batch_id: str, now: datetime, *, limit: int) -> int:
    """Queue jobs that waited for this batch, if it is started by now; returns their number.

    Those that somebody else has locked are left out.
    """
    ids = [row.id for row in lock(db, startable(batch_id).limit(limit))]
    due_at = func.coalesce(JOB.c.run_at, now)
    return move_all(db, ids, JobState.WAITING, JobState.QUEUED, now, verb="started", due_at=due_at)


def startable(batch_id: str) -> Select[Any]:
    """The jobs that wait for nothing but this batch, if it is started by now."""
    is_started = (
        select(BATCH.c.id)
        .where(
            BATCH.c.id == JOB.c.batch_id,
            BATCH.c.loaded_at.is_not(None),
            BATCH.c.canceled_at.is_(None),
        )
        .exists()
    )
    # A row that needs a job as well waits on: the waker queues it.
    is_blocked = select(NEED.c.job_id).where(NEED.c.job_id == JOB.c.id, NEED.c.settled_at.is_(None))
    return (
        select(JOB.c.id)
        .where(
            JOB.c.batch_id == batch_id,
            JOB.c.state == JobState.WAITING,
            is_started,
            ~is_blocked.exists(),
        )
        .order_by(JOB.c.id)
    )
