"""Start deadlines: a job that was not begun by its `expires_at` fails, and nothing is paid.

A job that was sent in time is bound no more, also if it has to be sent again.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from jobs.errors import JobError
from jobs.queue.dispatch import lock
from jobs.queue.many import move_all, release_budgets
from jobs.queue.moves import JOB, Claim
from jobs.states import JobState

TOO_LATE = JobError(
    code="too_late",
    message="The job was not started by its deadline (expires_at), so nothing was sent.",
    error_class="user",
    retryable=True,
    charged="no",
)

#: Jobs that fail in one transaction.
MOST_AT_ONCE = 2000


def is_late(job: Claim | Row[Any], now: datetime) -> bool:
    """Whether a job was not begun by its deadline."""
    return job.attempts == 0 and job.expires_at is not None and job.expires_at < now


def expire_unstarted(db: Connection, now: datetime, *, limit: int = MOST_AT_ONCE) -> int:
    """Fail due jobs whose start deadline has passed; returns their number.

    A job that is on its way to a worker is left to it: it looks at the deadline before it pays.
    """
    late = (
        select(JOB.c.id)
        .where(
            JOB.c.state == JobState.QUEUED,
            JOB.c.expires_at < now,
            JOB.c.attempts == 0,
            JOB.c.lease_until.is_(None),
        )
        .order_by(JOB.c.expires_at)
        .limit(limit)
    )
    return fail_late(db, [row.id for row in lock(db, late)], now)


def fail_late(db: Connection, ids: Sequence[str], now: datetime) -> int:
    """Fail locked jobs that are past their deadline; returns their number."""
    release_budgets(db, ids)
    return move_all(
        db,
        ids,
        JobState.QUEUED,
        JobState.FAILED,
        now,
        verb="too_late",
        note=f"{TOO_LATE.code}: {TOO_LATE.message}",
        error=TOO_LATE.as_row(),
    )
