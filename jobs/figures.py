"""Figures for operators, over all projects: what is held and why, what is uncertain, who pays."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, and_, case, func, select

from jobs.models import Attempt, Credential, Job, table
from jobs.states import JobState

JOB = table(Job)
ATTEMPT = table(Attempt)
CREDENTIAL = table(Credential)

#: Nobody has learned since whether it was paid: its charge is counted nowhere.
IS_OPEN_QUESTION = and_(
    ATTEMPT.c.accepted_at.is_(None),
    ATTEMPT.c.received_at.is_(None),
    ATTEMPT.c.refused_at.is_(None),
)


@dataclass(frozen=True)
class Losses:
    """Paid calls that lost their answers."""

    #: How many, ever.
    calls: int = 0
    #: The most that was charged for them and is counted nowhere, in thousandths of a credit.
    at_most_milli: int = 0


def held_by_reason(db: Connection, batch_id: str | None = None) -> dict[str, int]:
    """How many jobs are held for what: of a batch, or of all."""
    held = (
        select(JOB.c.held_for, func.count())
        .where(JOB.c.state == JobState.HELD)
        .group_by(JOB.c.held_for)
    )
    if batch_id is not None:
        held = held.where(JOB.c.batch_id == batch_id)
    return {str(reason): int(jobs) for reason, jobs in db.execute(held)}


def losses(db: Connection, batch_id: str | None = None) -> Losses:
    """The paid calls that lost their answers: of a batch, or of all jobs."""
    price = select(JOB.c.estimated_milli).where(JOB.c.id == ATTEMPT.c.job_id).scalar_subquery()
    at_most = func.coalesce(func.sum(case((IS_OPEN_QUESTION, price), else_=0)), 0)
    found = select(func.count(), at_most).where(ATTEMPT.c.uncertain_at.is_not(None))
    if batch_id is not None:
        # Uncertain calls are few, and a batch's jobs may be a million: a join would let SQLite
        # begin with those.
        mine = select(JOB.c.id).where(JOB.c.id == ATTEMPT.c.job_id, JOB.c.batch_id == batch_id)
        found = found.where(mine.exists())
    calls, milli = db.execute(found).one()
    return Losses(int(calls), int(milli))


def credentials(db: Connection) -> list[Row[Any]]:
    """Every credential and what is known of its balance."""
    return list(db.execute(select(CREDENTIAL).order_by(CREDENTIAL.c.name, CREDENTIAL.c.id)))


def total_balance(rows: Iterable[Row[Any]]) -> int | None:
    """The thousandths of a credit that are left on these credentials; None while none is known."""
    known = [row.balance_milli for row in rows if row.balance_milli is not None]
    return sum(known) if known else None
