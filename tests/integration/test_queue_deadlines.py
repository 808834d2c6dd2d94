"""A job that was not begun by its deadline fails before it is paid, wherever it is by then."""

from datetime import timedelta

from jobs.db import Database
from jobs.history import events_of
from jobs.models import DEFAULT_PROJECT
from jobs.outcomes import Uncertain
from jobs.queue import attempts, deadlines, desk, leases
from jobs.queue.settling import settle
from jobs.states import JobState
from tests.factories import (
    CREDENTIAL,
    LEASE,
    NOW,
    OWNER,
    PRICE,
    begin_next,
    fault,
    make_batch,
    make_job,
    read_batch,
    read_job,
    take_due,
)

LATER = NOW + timedelta(seconds=1)
HOUR = timedelta(hours=1)
S = JobState


def test_a_job_past_its_deadline_fails_and_frees_its_budget(database: Database) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db, budget_milli=3 * PRICE)
        gone = make_job(db, batch_id=batch_id, row=0, expires_at=NOW)
        ahead = make_job(db, batch_id=batch_id, row=1, expires_at=NOW + HOUR)
        paid = make_job(db, S.POLLING, batch_id=batch_id, row=2, expires_at=NOW)

        assert deadlines.expire_unstarted(db, LATER) == 1

        states = [read_job(db, job_id).state for job_id in (gone, ahead, paid)]
        assert states == [S.FAILED, S.QUEUED, S.POLLING]
        assert read_job(db, gone).error["code"] == "too_late"
        assert events_of(db, gone)[-1].verb == "too_late"
        assert read_batch(db, batch_id).reserved_milli == 2 * PRICE


def test_a_claim_sends_no_job_that_is_too_late_and_looks_behind_it(database: Database) -> None:
    with database.transaction() as db:
        late = [make_job(db, expires_at=NOW) for _ in range(3)]
        make_job(db)

        first = leases.claim_due(db, LATER, limit=3, lease=LEASE)
        second = leases.claim_due(db, LATER, limit=3, lease=LEASE)

        assert (len(first), len(second)) == (0, 1)
        assert {read_job(db, job_id).state for job_id in late} == {S.FAILED}


def test_a_job_whose_deadline_passes_on_the_way_to_its_worker_is_not_paid(
    database: Database,
) -> None:
    with database.transaction() as db:
        job_id = make_job(db, expires_at=NOW)
        (claim,) = take_due(db)

        # The duty leaves it to its worker, which does not pay and gives it back.
        assert deadlines.expire_unstarted(db, LATER) == 0
        assert attempts.begin(db, claim, LATER, credential_id=CREDENTIAL, owner=OWNER) is None
        leases.give_back(db, claim, LATER)

        assert deadlines.expire_unstarted(db, LATER) == 1
        assert read_job(db, job_id).attempts == 0


def test_a_job_that_was_sent_in_time_is_bound_no_more(database: Database) -> None:
    # Given a job whose answer was lost, and whose deadline passed since,
    with database.transaction() as db:
        job_id = make_job(db, expires_at=NOW)
        settle(db, begin_next(db), Uncertain(fault()), NOW)
        assert read_job(db, job_id).state == S.QUEUED

        # When it is looked at wherever the deadline counts,
        assert deadlines.expire_unstarted(db, NOW + HOUR) == 0
        again = begin_next(db, NOW + HOUR)

        # Then it is sent again.
        assert (again.id, again.attempts) == (job_id, 2)


def test_many_are_expired_in_pieces(database: Database) -> None:
    with database.transaction() as db:
        for _ in range(5):
            make_job(db, expires_at=NOW)

        assert [deadlines.expire_unstarted(db, LATER, limit=2) for _ in range(4)] == [2, 2, 1, 0]


def test_who_retries_a_late_job_wants_it_all_the_same(database: Database) -> None:
    with database.transaction() as db:
        job_id = make_job(db, expires_at=NOW)
        deadlines.expire_unstarted(db, LATER)

        desk.retry(db, DEFAULT_PROJECT, job_id, LATER)

        assert begin_next(db, LATER).id == job_id
