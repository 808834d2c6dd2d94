"""What follows when a step of work did not go well: each verb for one job, as it is rare."""

from datetime import datetime

from sqlalchemy import Connection

from jobs.errors import JobError
from jobs.outcomes import (
    Expired,
    Outcome,
    Refetch,
    Refused,
    Snoozed,
    TryAgain,
    Uncertain,
    Unfunded,
)
from jobs.queue.learning import note_attempt
from jobs.queue.leases import give_back
from jobs.queue.moves import JOB, Claim, move, release_budget, reserve_budget
from jobs.queue.returning import put_back
from jobs.states import JobState

#: Paid calls that the API may refuse, without a charge, before a job fails.
MOST_REFUSALS = 3
#: Resubmissions after an uncertain attempt before a person must decide.
MOST_RESUBMITS = 1


def settle_alone(db: Connection, claim: Claim, outcome: Outcome, now: datetime) -> bool:
    """One outcome of those that are rare."""
    match outcome:
        case Refused(error=error):
            return refused(db, claim, error, now)
        case TryAgain():
            return try_again(db, claim, outcome, now)
        case Snoozed(delay=delay):
            return give_back(db, claim, now + delay)
        case Uncertain(error=error):
            return uncertain(db, claim, error, now)
        case Expired(error=error):
            return expired(db, claim, error, now)
        case Unfunded(error=error):
            return unfunded(db, claim, error, now)
        case Refetch():
            return refetch(db, claim, outcome, now)
    raise TypeError(f"{type(outcome).__name__} is settled together with others")


def refused(db: Connection, claim: Claim, error: JobError, now: datetime) -> bool:
    """No, and for good."""
    if error.charged == "no":
        note_attempt(db, claim, refused_at=now, note=error.code)
    elif error.charged == "yes":
        # If a person lets it run again, nobody is to ask for this result any more.
        note_attempt(db, claim, expired_at=now, note=error.code)
    return move(
        db,
        claim,
        JobState.FAILED,
        now,
        verb="failed",
        note=f"{error.code}: {error.message}",
        release=error.charged == "no",
        error=error.as_row(),
    )


def try_again(db: Connection, claim: Claim, outcome: TryAgain, now: datetime) -> bool:
    """Nothing was paid: back to the queue, unless it was tried often enough."""
    error = outcome.error
    refusals = claim.refusals + outcome.spends_try
    if refusals >= MOST_REFUSALS and outcome.spends_try:
        return refused(db, claim, error, now)
    note_attempt(db, claim, refused_at=now, note=error.code)
    return put_back(
        db,
        claim,
        JobState.QUEUED,
        now,
        verb="refused",
        note=f"{error.code}: {error.message}",
        due_at=now + outcome.delay,
        refusals=refusals,
        attempt_id=None,
        error=error.as_row(),
    )


def uncertain(db: Connection, claim: Claim, error: JobError, now: datetime) -> bool:
    """The answer to a paid call was lost: the job's policy decides; the loss stays on record."""
    note_attempt(db, claim, uncertain_at=now, note=error.code)
    if claim.state == JobState.STORING:
        # It was received, and is gone or damaged: no later owner is to wait for it.
        note_attempt(db, claim, expired_at=now)
    return _by_policy(db, claim, error, now, verb="uncertain")


def expired(db: Connection, claim: Claim, error: JobError, now: datetime) -> bool:
    """What was paid is gone: the same policy decides."""
    note_attempt(db, claim, expired_at=now, note=error.code)
    return _by_policy(db, claim, error, now, verb="expired")


def _by_policy(db: Connection, claim: Claim, error: JobError, now: datetime, *, verb: str) -> bool:
    note = f"{error.code}: {error.message}"
    row = error.as_row()
    if claim.on_uncertain == "fail":
        return move(db, claim, JobState.FAILED, now, verb=verb, note=note, error=row)
    if claim.on_uncertain == "hold" or claim.resubmits >= MOST_RESUBMITS:
        return hold(db, claim, "uncertain", error, now, verb=verb)
    if not reserve_budget(db, claim.batch_id, claim.estimated_milli):
        return hold(db, claim, "budget", error, now, verb=verb)
    kept = put_back(
        db,
        claim,
        JobState.QUEUED,
        now,
        verb=verb,
        note=note,
        due_at=now,
        resubmits=claim.resubmits + 1,
        attempt_id=None,
        result_id=None,
        error=row,
    )
    if not kept:
        release_budget(db, claim)
    return kept


def unfunded(db: Connection, claim: Claim, error: JobError, now: datetime) -> bool:
    """No credential may pay: the job waits until one may, and goes on by itself."""
    note_attempt(db, claim, refused_at=now, note=error.code)
    return hold(db, claim, "funds", error, now, verb="unfunded")


def hold(
    db: Connection, claim: Claim, held_for: str, error: JobError, now: datetime, *, verb: str
) -> bool:
    """Set the job aside until a person or money decides."""
    return put_back(
        db,
        claim,
        JobState.HELD,
        now,
        verb=verb,
        note=f"held for {held_for}; {error.code}: {error.message}",
        held_for=held_for,
        due_at=None,
        error=error.as_row(),
    )


def refetch(db: Connection, claim: Claim, outcome: Refetch, now: datetime) -> bool:
    """The result arrived damaged; the API still has it."""
    return move(
        db,
        claim,
        JobState.POLLING,
        now,
        verb="refetch",
        note=f"{outcome.error.code}: {outcome.error.message}",
        polls=JOB.c.polls + 1,
        due_at=now + outcome.delay,
    )
