"""From an outcome to a state: what follows when a step of work is done.

What was paid for is written to the attempt even by a worker that has lost its lease; only the
job's row is fenced. Every verb tells whether the job was still its caller's.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import Connection, insert

from jobs.models import Output, table
from jobs.outcomes import (
    Accepted,
    Outcome,
    Received,
    Running,
    Stored,
)
from jobs.queue.attempts import offer_late, record_late_charge
from jobs.queue.learning import learn_answers
from jobs.queue.moves import Claim
from jobs.queue.setbacks import settle_alone
from jobs.queue.together import Move, move_each
from jobs.states import JobState

OUTPUT = table(Output)
INSERT_OUTPUT = insert(OUTPUT)


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
    # These lock the rows of their batches: two workers who meet there take them in one order, and
    # wait for each other and not in a circle.
    rare = [place for place in range(len(settled)) if place not in kept]
    for place in sorted(rare, key=lambda place: settled[place][0].batch_id or ""):
        claim, outcome = settled[place]
        kept[place] = settle_alone(db, claim, outcome, now)
    return [kept[place] for place in range(len(settled))]


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
