"""From an outcome to a state: what follows when a step of work is done.

What was paid for is written to the attempt even by a worker that has lost its lease; only the
job's row is fenced. Every verb tells whether the job was still its caller's.
"""

from datetime import datetime

from sqlalchemy import Connection, insert

from jobs.errors import JobError
from jobs.models import Output, table
from jobs.outcomes import (
    Accepted,
    Expired,
    Outcome,
    Received,
    Refetch,
    Refused,
    Running,
    Snoozed,
    Stored,
    TryAgain,
    Uncertain,
    Unfunded,
)
from jobs.queue.attempts import learn_answer, note_attempt, offer_late, record_late_charge
from jobs.queue.leases import give_back
from jobs.queue.moves import JOB, Claim, move, release_budget, reserve_budget
from jobs.states import JobState

OUTPUT = table(Output)

#: Paid calls that the API may refuse, without a charge, before a job fails.
MOST_REFUSALS = 3
#: Resubmissions after an uncertain attempt before a person must decide.
MOST_RESUBMITS = 1


def settle(db: Connection, claim: Claim, outcome: Outcome, now: datetime) -> bool:
    """Turn an outcome into the job's next state; False when somebody else owns the job by now."""
    match outcome:
        case Accepted():
            return accepted(db, claim, outcome, now)
        case Running(delay=delay):
            return running(db, claim, now, due_at=now + delay)
        case Received():
            return received(db, claim, now)
        case Stored():
            return stored(db, claim, outcome, now)
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


def accepted(db: Connection, claim: Claim, outcome: Accepted, now: datetime) -> bool:
    """The API works on it: the result id is kept before anything else is done."""
    news = learn_answer(db, claim, now, result_id=outcome.result_id)
    kept = move(
        db,
        claim,
        JobState.POLLING,
        now,
        verb="accepted",
        note=outcome.result_id,
        charged_milli=news,
        result_id=outcome.result_id,
        accepted_at=now,
        due_at=now + outcome.delay,
    )
    if not kept:
        record_late_charge(db, claim, news, now)
        offer_late(db, claim, JobState.POLLING, now, result_id=outcome.result_id)
    return kept


def running(db: Connection, claim: Claim, now: datetime, *, due_at: datetime) -> bool:
    """Still at work: the job waits for its next poll."""
    return move(
        db,
        claim,
        JobState.POLLING,
        now,
        verb=None,
        polls=JOB.c.polls + 1,
        polled_at=now,
        due_at=due_at,
    )


def received(db: Connection, claim: Claim, now: datetime) -> bool:
    """All bytes are on disk; the lease stays with the one who has them."""
    news = learn_answer(db, claim, now)
    kept = move(
        db,
        claim,
        JobState.STORING,
        now,
        verb="received",
        charged_milli=news,
        lease_owner=JOB.c.lease_owner,
        lease_until=JOB.c.lease_until,
    )
    if not kept:
        record_late_charge(db, claim, news, now)
    return kept


def stored(db: Connection, claim: Claim, outcome: Stored, now: datetime) -> bool:
    """All outputs are in the bucket: the job is done."""
    filtered = next((o for o in outcome.outputs if o.finish_reason == "CONTENT_FILTERED"), None)
    shown = filtered or outcome.outputs[0]
    kept = move(
        db,
        claim,
        JobState.FILTERED if filtered else JobState.SUCCEEDED,
        now,
        verb="filtered" if filtered else "succeeded",
        finish_reason=shown.finish_reason,
        seed=claim.seed if shown.seed is None else shown.seed,
        error=None,
    )
    if not kept:
        offer_late(db, claim, JobState.STORING, now)
        return False
    for output in outcome.outputs:
        db.execute(
            insert(OUTPUT),
            {"job_id": claim.id, "attempt_id": claim.attempt_id, **vars(output)},
        )
    return True


def refused(db: Connection, claim: Claim, error: JobError, now: datetime) -> bool:
    """No, and for good."""
    if error.charged == "no":
        note_attempt(db, claim, refused_at=now, note=error.code)
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
    return move(
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
    kept = move(
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
    return move(
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
