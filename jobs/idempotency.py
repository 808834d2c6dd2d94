"""Idempotency-Key: the same request again is the same job, also when both come at once."""

import hashlib
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, select, update

from jobs.db import ensure
from jobs.errors import Conflict
from jobs.models import table
from jobs.models_api import Promise
from jobs.queue.intake import NewJob, submit

PROMISE = table(Promise)

#: So long a key stands for its job.
LIFE = timedelta(hours=24)


class OtherBody(Conflict):
    """This Idempotency-Key belongs to another request."""

    code = "idempotency_mismatch"


def fingerprint_of(body: Any) -> str:
    """The hash of a body: equal for equal values, however they were written."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def submit_once(
    db: Connection, job: NewJob, now: datetime, *, project_id: str, key: str, fingerprint: str
) -> tuple[str, bool]:
    """Let a job in, or find the one that this key stands for; tells whether it is new."""

    def let_in() -> str:
        (job_id,) = submit(db, [job], now, project_id=project_id)
        return job_id

    return make_once(db, let_in, now, project_id=project_id, key=key, fingerprint=fingerprint)


def make_once(
    db: Connection,
    make: Callable[[], str],
    now: datetime,
    *,
    project_id: str,
    key: str,
    fingerprint: str,
) -> tuple[str, bool]:
    """Make something, or find what this key stands for: its id, and whether it is new.

    Raises OtherBody. Whoever comes second waits here until the first has committed.
    """
    mine = PROMISE.c.project_id == project_id, PROMISE.c.key == key
    db.execute(delete(PROMISE).where(*mine, PROMISE.c.created_at < now - LIFE))
    row = {"project_id": project_id, "key": key, "fingerprint": fingerprint, "created_at": now}
    if not ensure(db, PROMISE, row):
        kept = db.execute(select(PROMISE.c.fingerprint, PROMISE.c.job_id).where(*mine)).one()
        if kept.fingerprint != fingerprint:
            raise OtherBody("this Idempotency-Key was used for another body in the last 24 hours")
        return kept.job_id, False
    made = make()
    db.execute(update(PROMISE).where(*mine).values(job_id=made))
    return made, True


def forget_old(db: Connection, now: datetime, *, limit: int = 500) -> int:
    """Delete keys whose time is over; returns their number."""
    old = (
        select(PROMISE.c.project_id, PROMISE.c.key)
        .where(PROMISE.c.created_at < now - LIFE)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    keys = [tuple(row) for row in db.execute(old)]
    for project_id, key in keys:
        db.execute(delete(PROMISE).where(PROMISE.c.project_id == project_id, PROMISE.c.key == key))
    return len(keys)
