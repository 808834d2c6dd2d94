"""What a job's row becomes when it goes back to the queue for a fresh start."""

from datetime import datetime
from typing import Any

from sqlalchemy import case, null

from jobs.queue.moves import JOB


def reopened(now: datetime) -> dict[str, Any]:
    """The changed columns. A start deadline that has passed is gone: somebody wants it now."""
    return {
        "held_for": None,
        "due_at": now,
        "finished_at": None,
        # A worker that had the job before it was stopped is not its owner any more.
        "fence": JOB.c.fence + 1,
        "refusals": 0,
        "crashes": 0,
        "attempt_id": None,
        "result_id": None,
        "expires_at": case((JOB.c.expires_at < now, null()), else_=JOB.c.expires_at),
    }
