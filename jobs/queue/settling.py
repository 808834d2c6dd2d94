"""From an outcome to a state: what follows when a step of work is done.

What was paid for is written to the attempt even by a worker that has lost its lease; only the
job's row is fenced. Every verb tells whether the job was still its caller's.
"""

from collections.abc import Callable, Sequence
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
from jobs.queue.attempts import learn_answers, note_attempt, offer_late, record_late_charge
from jobs.queue.leases import give_back
from jobs.queue.moves import JOB, Claim, move, release_budget, reserve_budget
from jobs.queue.together import Move, move_each
from jobs.states import JobState

OUTPUT = table(Output)
INSERT_OUTPUT = insert(OUTPUT)

#: Paid calls that the API may refuse, without a charge, before a job fails.
MOST_REFUSALS = 3
#: Resubmissions after an uncertain attempt before a person must decide.
MOST_RESUBMITS = 1


def settle(db: Connection, claim: Claim, outcome: Outcome, now: datetime) -> bool:
    """`settle_all` for one job."""
    return settle_all(db, [(claim, outcome)], now)[0]


def settle_all(
    db: Connection, settled: Sequence[tuple[Claim, Outcome]], now: datetime
) -> list[bool]:
    """Turn outcomes into the jobs' next states; False for a job that somebody else owns by now.

    What happens all the time is done for all jobs together, and what is rare one by one.
    """
    kept: dict[int, bool] = {}
    for kind, verb in TOGETHER.items():
        places = [i for i, (_, outcome) in enumerate(settled) if isinstance(outcome, kind)]
        if places:
            done = verb(db, [settled[i] for i in places], now)
            kept |= dict(zip(places, done, strict=True))
    # Those of a batch with a budget change its row: two workers who meet there take their batches
    # in one order, and wait for each other and not in a circle.
    rare = [place for place in range(len(settled)) if place not in kept]
    for place in sorted(rare, key=lambda place: settled[place][0].batch_id or ""):
        claim, outcome = settled[place]
        kept[place] = settle_alone(db, claim, outcome, now)
    return [kept[place] for place in range(len(settled))]


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


def accepted(
    db: Connection, settled: Sequence[tuple[Claim, Accepted]], now: datetime
) -> list[bool]:
    """The API works on it: the result id is kept before anything else is done."""
    news = learn_answers(db, [(claim, outcome.result_id) for claim, outcome in settled], now)
    moves = [
        Move(
            claim=claim,
            target=JobState.POLLING,
            verb="accepted",
            note=outcome.result_id,
            charged_milli=milli,
            changes={
                "result_id": outcome.result_id,
                "accepted_at": now,
                "due_at": now + outcome.delay,
            },
        )
        for (claim, outcome), milli in zip(settled, news, strict=True)
    ]
    kept = move_each(db, moves, now)
    for (claim, outcome), milli, done in zip(settled, news, kept, strict=True):
        if not done:
            record_late_charge(db, claim, milli, now)
            offer_late(db, claim, JobState.POLLING, now, result_id=outcome.result_id)
    return kept


def running(db: Connection, settled: Sequence[tuple[Claim, Running]], now: datetime) -> list[bool]:
    """Still at work: the jobs wait for their next polls."""
    moves = [
        Move(
            claim=claim,
            target=JobState.POLLING,
            verb=None,
            changes={
                "polls": claim.polls + 1,
                "polled_at": now if outcome.was_told else claim.polled_at,
                "due_at": now + outcome.delay,
            },
        )
        for claim, outcome in settled
    ]
    return move_each(db, moves, now)


def received(
    db: Connection, settled: Sequence[tuple[Claim, Received]], now: datetime
) -> list[bool]:
    """All bytes are on disk; the lease stays with the one who has them."""
    news = learn_answers(db, [(claim, None) for claim, _ in settled], now)
    moves = [
        Move(claim=claim, target=JobState.STORING, verb="received", charged_milli=milli)
        for (claim, _), milli in zip(settled, news, strict=True)
    ]
    kept = move_each(db, moves, now, keeps_lease=True)
    for (claim, _), milli, done in zip(settled, news, kept, strict=True):
        if not done:
            record_late_charge(db, claim, milli, now)
    return kept


def stored(db: Connection, settled: Sequence[tuple[Claim, Stored]], now: datetime) -> list[bool]:
    """All outputs are in the bucket: the jobs are done.

    Where nobody had to know before that the bytes had come, it is told now.
    """
    fresh = [claim for claim, _ in settled if claim.state != JobState.STORING]
    learned = learn_answers(db, [(claim, None) for claim in fresh], now) if fresh else []
    news = dict(zip((claim.id for claim in fresh), learned, strict=True))
    kept = move_each(db, [done_move(*one, news.get(one[0].id)) for one in settled], now)
    rows = [
        {"job_id": claim.id, "attempt_id": claim.attempt_id, **vars(output)}
        for (claim, outcome), done in zip(settled, kept, strict=True)
        if done
        for output in outcome.outputs
    ]
    if rows:
        db.execute(INSERT_OUTPUT, rows)
    for (claim, _), done in zip(settled, kept, strict=True):
        if not done:
            record_late_charge(db, claim, news.get(claim.id, 0), now)
            offer_late(db, claim, JobState.STORING, now)
    return kept


def done_move(claim: Claim, outcome: Stored, milli: int | None) -> Move:
    """The last step of a job that went well; `milli` is what its answer cost, where that is news.

    Then it comes straight from the call, by way of `storing`.
    """
    filtered = next((o for o in outcome.outputs if o.finish_reason == "CONTENT_FILTERED"), None)
    shown = filtered or outcome.outputs[0]
    return Move(
        claim=claim,
        target=JobState.FILTERED if filtered else JobState.SUCCEEDED,
        verb="filtered" if filtered else "succeeded",
        via=None if milli is None else (JobState.STORING, "received"),
        charged_milli=milli or 0,
        changes={
            "finish_reason": shown.finish_reason,
            "seed": claim.seed if shown.seed is None else shown.seed,
            "error": None,
        },
    )


#: What a worker does all the time.
TOGETHER: dict[type[Outcome], Callable[..., list[bool]]] = {
    Accepted: accepted,
    Running: running,
    Received: received,
    Stored: stored,
}


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
