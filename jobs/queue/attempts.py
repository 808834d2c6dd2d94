"""The record of paid calls: append-only and unfenced, so that nothing paid for is forgotten."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, insert, select, update

from jobs.models import new_id
from jobs.queue.brakes import may_begin
from jobs.queue.learning import ATTEMPT, learn_answer
from jobs.queue.moves import (
    CLAIM_COLUMNS,
    JOB,
    Claim,
    has_next_call_reserved,
    move,
    write_event,
)
from jobs.queue.together import Move, move_each
from jobs.states import JobState

INSERT_ATTEMPT = insert(ATTEMPT)
#: An attempt at what its job asks for now: a person may have changed the parameters since.
IS_STILL_WANTED = and_(ATTEMPT.c.job_id == JOB.c.id, ATTEMPT.c.begun_at >= JOB.c.started_at)
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


@dataclass(frozen=True, kw_only=True)
class Intent:
    """A paid call that a worker is about to make."""

    claim: Claim
    credential_id: str
    owner: str

    def begun(self) -> Claim:
        """The job's claim once it is committed to the call."""
        return replace(
            self.claim,
            state=JobState.SUBMITTING,
            attempts=self.claim.attempts + 1,
            attempt_id=new_id(),
            attempt_number=self.claim.attempts + 1,
            credential_id=self.credential_id,
            result_id=None,
            accepted_at=None,
            polls=0,
            polled_at=None,
        )


def begin_all(db: Connection, intents: Sequence[Intent], now: datetime) -> list[Claim | None]:
    """Commit to paid calls: the intents, before the first byte of any of them is sent.

    For each the claim as it is now, or None if the job is not the caller's any more, if it is
    paused or too late by now, or if an earlier attempt turns out to have been answered after all:
    then that answer is to be used.
    """
    free = may_begin(db, [intent.claim for intent in intents], now)
    ready = {
        intent.claim.id: intent.begun()
        for intent in intents
        if intent.claim.id in free and not has_late_answer(db, intent.claim, now)
    }
    chosen = [intent for intent in intents if intent.claim.id in ready]
    moves = [submitting(intent, ready[intent.claim.id], now) for intent in chosen]
    done = move_each(db, moves, now, keeps_lease=True)
    kept = [intent for intent, is_done in zip(chosen, done, strict=True) if is_done]
    if kept:
        db.execute(INSERT_ATTEMPT, [intent_row(i, ready[i.claim.id], now) for i in kept])
    begun = {intent.claim.id: ready[intent.claim.id] for intent in kept}
    return [begun.get(intent.claim.id) for intent in intents]


def begin(
    db: Connection, claim: Claim, now: datetime, *, credential_id: str, owner: str
) -> Claim | None:
    """`begin_all` for one job."""
    intent = Intent(claim=claim, credential_id=credential_id, owner=owner)
    return begin_all(db, [intent], now)[0]


def submitting(intent: Intent, begun: Claim, now: datetime) -> Move:
    """The job's own part of an intent."""
    return Move(
        claim=intent.claim,
        target=JobState.SUBMITTING,
        verb="submitting",
        note=intent.credential_id,
        changes={
            "started_at": now,
            "lease_owner": intent.owner,
            **{name: getattr(begun, name) for name in ATTEMPT_FIELDS},
        },
    )


def intent_row(intent: Intent, begun: Claim, now: datetime) -> dict[str, Any]:
    """The attempt as it begins."""
    return {
        "id": begun.attempt_id,
        "job_id": begun.id,
        "number": begun.attempt_number,
        "credential_id": intent.credential_id,
        "owner": intent.owner,
        "begun_at": now,
    }


def usable_attempts(db: Connection, job_id: str) -> Sequence[Any]:
    """The job's attempts that may have been paid and were not used, the newest first."""
    return db.execute(
        select(ATTEMPT)
        .join(JOB, IS_STILL_WANTED)
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


def has_late_answer(db: Connection, claim: Claim, now: datetime) -> bool:
    """Whether an earlier attempt was answered after all, and can still be used.

    A result id can be; bytes can for as long as whoever received them may still deliver them.
    """
    return claim.attempts > 0 and any(
        row.result_id or (row.received_at and row.received_at > now - DELIVERY_PATIENCE)
        for row in usable_attempts(db, claim.id)
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
    is_wanted = select(ATTEMPT.c.id).where(ATTEMPT.c.id == claim.attempt_id, IS_STILL_WANTED)
    row = db.execute(
        select(*CLAIM_COLUMNS)
        .where(
            JOB.c.id == claim.id,
            JOB.c.lease_owner.is_(None),
            JOB.c.state.in_([JobState.QUEUED, JobState.HELD]),
            is_wanted.exists(),
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
