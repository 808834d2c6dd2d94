"""Figures for operators, over all projects: what is held and why, what is uncertain, who pays."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, func, select

from jobs.models import Attempt, Credential, Job, table
from jobs.states import JobState

JOB = table(Job)
ATTEMPT = table(Attempt)
CREDENTIAL = table(Credential)


def held_by_reason(db: Connection) -> dict[str, int]:
    """How many jobs are held for what."""
    rows = db.execute(
        select(JOB.c.held_for, func.count())
        .where(JOB.c.state == JobState.HELD)
        .group_by(JOB.c.held_for)
    )
    return {str(reason): int(jobs) for reason, jobs in rows}


def uncertain_attempts(db: Connection, batch_id: str | None = None) -> int:
    """How many paid calls lost their answers, ever: of a batch, or of all jobs."""
    found = select(func.count()).where(ATTEMPT.c.uncertain_at.is_not(None))
    if batch_id is not None:
        # Uncertain calls are few, and a batch's jobs may be a million: a join would let SQLite
        # begin with those.
        mine = select(JOB.c.id).where(JOB.c.id == ATTEMPT.c.job_id, JOB.c.batch_id == batch_id)
        found = found.where(mine.exists())
    return int(db.execute(found).scalar_one())


def credentials(db: Connection) -> list[Row[Any]]:
    """Every credential and what is known of its balance."""
    return list(db.execute(select(CREDENTIAL).order_by(CREDENTIAL.c.name, CREDENTIAL.c.id)))


def total_balance(rows: Iterable[Row[Any]]) -> int | None:
    """The thousandths of a credit that are left on these credentials; None while none is known."""
    known = [row.balance_milli for row in rows if row.balance_milli is not None]
    return sum(known) if known else None
