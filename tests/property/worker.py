"""A worker for the state machine: the executor's steps, with the API's answers drawn by chance.

It may be killed, or stopped for so long that others have its job, between any two of its steps.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from jobs.models import new_id
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
from jobs.queue import attempts, settling
from jobs.queue.moves import Claim
from jobs.states import JobState
from tests.factories import CREDENTIAL, fault, stored_output
from tests.strategies import PAID_FATES, Fate, PollFate

SOON = timedelta(seconds=10)


@dataclass
class World:
    """What is outside of the database."""

    #: Attempts that the API was paid for.
    paid: set[str] = field(default_factory=set)
    #: Attempts whose bytes lie in a spool that is still there.
    bytes: set[str] = field(default_factory=set)


@dataclass
class Work:
    """A job in a worker's hands; `fate` is that of the call which is on its way."""

    claim: Claim
    fate: Fate | None = None


def step(
    db: Connection, world: World, work: Work, now: datetime, fate: Fate, poll_fate: PollFate
) -> Work | None:
    """Do the next thing about a job; None when the worker is done with it."""
    claim = work.claim
    if work.fate is not None:
        return _settle(db, work, _answer(world, claim, work.fate), now)
    if claim.state == JobState.QUEUED:
        return _submit(db, world, claim, now, fate)
    if claim.state == JobState.POLLING:
        return _settle(db, work, _poll(world, claim, poll_fate), now)
    return _settle(db, work, _recover(db, world, claim), now)


def _settle(db: Connection, work: Work, outcome: Outcome, now: datetime) -> Work | None:
    settling.settle(db, work.claim, outcome, now)
    if isinstance(outcome, Received):
        return Work(replace(work.claim, state=JobState.STORING))
    return None


def _submit(db: Connection, world: World, claim: Claim, now: datetime, fate: Fate) -> Work | None:
    if claim.attempts and adopt_late(db, world, claim, now):
        return None
    begun = attempts.begin(db, claim, now, credential_id=CREDENTIAL, owner="worker")
    if begun is None:
        settling.settle(db, claim, Snoozed(SOON), now)
        return None
    assert begun.attempt_id is not None
    if fate in PAID_FATES:
        world.paid.add(begun.attempt_id)
    return Work(begun, fate)


def adopt_late(db: Connection, world: World, claim: Claim, now: datetime) -> bool:
    """Use an earlier attempt's answer, if one can be found."""
    for row in attempts.usable_attempts(db, claim.id):
        if row.result_id is None and row.id not in world.bytes:
            continue
        found = replace(
            claim,
            attempt_id=row.id,
            attempt_number=row.number,
            credential_id=row.credential_id,
            accepted_at=row.accepted_at,
            result_id=row.result_id,
        )
        target = JobState.STORING if row.result_id is None else JobState.POLLING
        return attempts.adopt(db, claim, found, target, now, result_id=row.result_id)
    return False


def _answer(world: World, claim: Claim, fate: Fate) -> Outcome:
    match fate:
        case Fate.ACCEPTED:
            return Accepted(f"result-{new_id()}", SOON)
        case Fate.RECEIVED:
            assert claim.attempt_id is not None
            world.bytes.add(claim.attempt_id)
            return Received()
        case Fate.REFUSED:
            return TryAgain(fault("no"), SOON)
        case Fate.REFUSED_FOR_GOOD:
            return Refused(fault("no"))
        case Fate.THROTTLED:
            return TryAgain(fault("no"), SOON, spends_try=False)
        case Fate.UNFUNDED:
            return Unfunded(fault("no"))
        case Fate.LOST_BUT_PAID | Fate.LOST_ON_THE_WAY:
            return Uncertain(fault())


def _poll(world: World, claim: Claim, fate: PollFate) -> Outcome:
    match fate:
        case PollFate.RUNNING:
            return Running(SOON)
        case PollFate.MEDIA:
            assert claim.attempt_id is not None
            world.bytes.add(claim.attempt_id)
            return Received()
        case PollFate.GONE:
            return Expired(fault("yes"))
        case PollFate.UNKNOWN_ID:
            return Refused(fault())


def _recover(db: Connection, world: World, claim: Claim) -> Outcome:
    """Go on from what the attempt left, be it this worker's own or another's."""
    assert claim.attempt_id is not None
    result_id = attempts.find_attempt(db, claim.attempt_id).result_id
    has_bytes = claim.attempt_id in world.bytes
    if claim.state == JobState.SUBMITTING:
        if result_id is not None:
            return Accepted(result_id, SOON)
        return Received() if has_bytes else Uncertain(fault())
    if has_bytes:
        return Stored((stored_output(),))
    return Uncertain(fault()) if claim.result_id is None else Refetch(fault("yes"), SOON)
