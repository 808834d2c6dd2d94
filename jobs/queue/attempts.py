"""The record of paid calls: append-only and unfenced, so that nothing paid for is forgotten."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, func, insert, select, update

from jobs.models import Attempt, new_id, table
from jobs.queue.moves import (
    CLAIM_COLUMNS,
    JOB,
    Claim,
    has_next_call_reserved,
    move,
    write_event,
)
from jobs.states import JobState

ATTEMPT = table(Attempt)

#: How long a job waits for bytes that a worker has received, and of which nobody has heard since.
DELIVERY_PATIENCE = timedelta(minutes=10)

#: What a job's row says of the attempt that it lives by.
ATTEMPT_FIELDS = (
    "attempts",
    "attempt_id",
    "attempt_number",
    "credential_id",
    "result_id",
    "accepted_at",
    "polls",
    "polled_at",
)


def begin(
    db: Connection, claim: Claim, now: datetime, *, credential_id: str, owner: str
) -> Claim | None:
    """Commit to a paid call: the intent.

    Returns the claim as it is now, or None if the job is not the caller's any more, or if an
    earlier attempt turns out to have been answered after all: then that answer is to be used.
    """
    if claim.attempts and has_late_answer(db, claim.id, now):
        return None
    begun = replace(
        claim,
        state=JobState.SUBMITTING,
        attempts=claim.attempts + 1,
        attempt_id=new_id(),
        attempt_number=claim.attempts + 1,
        credential_id=credential_id,
        result_id=None,
        accepted_at=None,
        polls=0,
        polled_at=None,
    )
    kept = move(
        db,
        claim,
        JobState.SUBMITTING,
        now,
        verb="submitting",
        note=credential_id,
        lease_owner=owner,
        lease_until=JOB.c.lease_until,
        started_at=func.coalesce(JOB.c.started_at, now),
        **{name: getattr(begun, name) for name in ATTEMPT_FIELDS},
    )
    if not kept:
        return None
    db.execute(
        insert(ATTEMPT),
        {
            "id": begun.attempt_id,
            "job_id": claim.id,
            "number": begun.attempt_number,
            "credential_id": credential_id,
            "owner": owner,
            "begun_at": now,
        },
    )
    return begun


def note_attempt(db: Connection, claim: Claim, **facts: Any) -> None:
    """Add facts to the claim's attempt; what is known already stays."""
    if claim.attempt_id is None:
        return
    db.execute(
        update(ATTEMPT)
        .where(ATTEMPT.c.id == claim.attempt_id)
        .values({name: func.coalesce(ATTEMPT.c[name], value) for name, value in facts.items()})
    )


def learn_answer(
    db: Connection, claim: Claim, now: datetime, *, result_id: str | None = None
) -> int:
    """Write down that the attempt was answered, and so paid: with an id, or with the bytes.

    Returns the thousandths of a credit that are news: an answer may be learned twice, by a slow
    worker and by its heir, but it is paid once.
    """
    column = ATTEMPT.c.accepted_at if result_id is not None else ATTEMPT.c.received_at
    unpaid = and_(ATTEMPT.c.accepted_at.is_(None), ATTEMPT.c.received_at.is_(None))
    first = db.execute(
        update(ATTEMPT)
        .where(ATTEMPT.c.id == claim.attempt_id, unpaid)
        .values({column: now, ATTEMPT.c.result_id: result_id})
    )
    if first.rowcount == 1:
        return claim.estimated_milli
    note_attempt(db, claim, **{column.name: now})
    return 0


def usable_attempts(db: Connection, job_id: str) -> Sequence[Any]:
    """The job's attempts that may have been paid and were not used, the newest first."""
    return db.execute(
        select(ATTEMPT)
        .where(
            ATTEMPT.c.job_id == job_id,
            ATTEMPT.c.refused_at.is_(None),
            ATTEMPT.c.expired_at.is_(None),
        )
        .order_by(ATTEMPT.c.number.desc())
    ).all()


def find_attempt(db: Connection, attempt_id: str) -> Any:
    """An attempt's row."""
    return db.execute(select(ATTEMPT).where(ATTEMPT.c.id == attempt_id)).one()


def has_late_answer(db: Connection, job_id: str, now: datetime) -> bool:
    """Whether an earlier attempt was answered after all, and can still be used.

    A result id can be; bytes can for as long as whoever received them may still deliver them.
    """
    return any(
        row.result_id or (row.received_at and row.received_at > now - DELIVERY_PATIENCE)
        for row in usable_attempts(db, job_id)
    )


def record_late_charge(db: Connection, claim: Claim, milli: int, now: datetime) -> None:
    """Count what a fenced-off worker learned to be paid."""
    if milli == 0:
        return
    row = db.execute(
        update(JOB)
        .where(JOB.c.id == claim.id)
        .values(charged_milli=JOB.c.charged_milli + milli)
        .returning(*CLAIM_COLUMNS)
    ).one_or_none()
    if row is None:
        return
    current = Claim.of(row)
    write_event(
        db,
        current,
        current.state,
        now,
        verb="charged_late",
        note=claim.attempt_id,
        charged_milli=milli,
    )


def offer_late(
    db: Connection, claim: Claim, target: JobState, now: datetime, *, result_id: str | None = None
) -> bool:
    """Hand what a fenced-off worker got to the job, if it waits for nobody else's answer."""
    row = db.execute(
        select(*CLAIM_COLUMNS)
        .where(
            JOB.c.id == claim.id,
            JOB.c.lease_owner.is_(None),
            JOB.c.state.in_([JobState.QUEUED, JobState.HELD]),
        )
        .with_for_update()
    ).one_or_none()
    if row is None:
        return False
    return adopt(db, Claim.of(row), claim, target, now, result_id=result_id)


def adopt(
    db: Connection,
    current: Claim,
    found: Claim,
    target: JobState,
    now: datetime,
    *,
    result_id: str | None = None,
) -> bool:
    """Let a job go on from an earlier attempt's answer instead of paying again.

    `found` is the job's claim as it would be with that attempt.
    """
    news = learn_answer(db, found, now, result_id=result_id)
    held_for = db.execute(select(JOB.c.held_for).where(JOB.c.id == current.id)).scalar_one()
    kept = move(
        db,
        current,
        target,
        now,
        verb="adopted",
        note=found.attempt_id,
        charged_milli=news,
        release=has_next_call_reserved(current.state, held_for),
        attempt_id=found.attempt_id,
        attempt_number=found.attempt_number,
        credential_id=found.credential_id,
        result_id=result_id,
        accepted_at=found.accepted_at or now,
        held_for=None,
        due_at=now,
    )
    if not kept:
        record_late_charge(db, found, news, now)
    return kept
