"""What must be true of the queue's tables at any moment, recounted from the rows themselves."""

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

from sqlalchemy import Connection, select

from jobs import tallies
from jobs.queue.moves import BATCH, JOB
from jobs.states import FINAL, JobState
from tests.factories import ATTEMPT

#: Held for one of these, a job still has its next call set aside in the budget.
NEXT_CALL_RESERVED = frozenset({"funds", "credential"})


def check_no_job_is_lost(db: Connection) -> None:
    """Each job is over, due, leased, or held for a reason that is written down."""
    for row in db.execute(select(JOB)):
        ways_on = [row.due_at is not None, row.lease_until is not None, row.held_for is not None]
        assert sum(ways_on) == (row.state not in FINAL), row


def check_attempts_have_reasons(db: Connection) -> None:
    """Only an attempt that came to nothing, or may have, is followed by another."""
    rows = db.execute(select(ATTEMPT).order_by(ATTEMPT.c.job_id, ATTEMPT.c.number)).all()
    for row, following in pairwise(rows):
        if row.job_id == following.job_id:
            assert row.refused_at or row.uncertain_at or row.expired_at, row


def check_credits(db: Connection, paid: Iterable[str]) -> None:
    """A job was charged for each answered attempt; more was paid only where that is in doubt."""
    paid = set(paid)
    answered: Counter[str] = Counter()
    jobs = {row.id: row for row in db.execute(select(JOB))}
    for row in db.execute(select(ATTEMPT)):
        is_answered = row.accepted_at is not None or row.received_at is not None
        answered[row.job_id] += is_answered
        assert row.id in paid or not is_answered, row
        job = jobs[row.job_id]
        on_its_way = job.state == JobState.SUBMITTING and job.attempt_id == row.id
        assert row.id not in paid or is_answered or row.uncertain_at or on_its_way, row
    for job in jobs.values():
        assert job.charged_milli == answered[job.id] * job.estimated_milli, job


def check_counters(db: Connection) -> None:
    """Counters equal a recount, for all and for each batch."""
    rows = db.execute(select(JOB.c.batch_id, JOB.c.state, JOB.c.charged_milli)).all()
    for batch_id in {None} | {row.batch_id for row in rows}:
        scope = [row for row in rows if batch_id is None or row.batch_id == batch_id]
        counts = tallies.counts(db, batch_id=batch_id)
        assert counts.by_state == Counter(JobState(row.state) for row in scope)
        assert counts.charged_milli == sum(row.charged_milli for row in scope)


def check_budgets(db: Connection) -> None:
    """What is set aside equals a recount, and is within the budget."""
    for batch in db.execute(select(BATCH).where(BATCH.c.budget_milli.is_not(None))):
        assert batch.reserved_milli == recount_reserved(db, batch.id), batch
        assert batch.reserved_milli <= batch.budget_milli, batch


def recount_reserved(db: Connection, batch_id: str) -> int:
    """The price of each call that was paid, may have been, or is to be made next."""
    milli = 0
    for job in db.execute(select(JOB).where(JOB.c.batch_id == batch_id)):
        calls = sum(
            row.refused_at is None
            or row.uncertain_at is not None
            or (job.state == JobState.SUBMITTING and job.attempt_id == row.id)
            for row in db.execute(select(ATTEMPT).where(ATTEMPT.c.job_id == job.id))
        )
        is_next = job.state == JobState.QUEUED or job.held_for in NEXT_CALL_RESERVED
        milli += job.estimated_milli * (calls + is_next)
    return milli
