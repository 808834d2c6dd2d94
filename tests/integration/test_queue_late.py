"""What was paid and is heard of late: it is used by whoever has the job now."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Connection

from jobs.db import Database
from jobs.history import events_of
from jobs.models import DEFAULT_PROJECT
from jobs.outcomes import Accepted, Received, Refused, Stored, Uncertain, Unfunded
from jobs.queue import attempts, desk, leases
from jobs.queue.attempts import DELIVERY_PATIENCE
from jobs.queue.moves import Claim
from jobs.queue.settling import settle
from jobs.states import JobState
from tests.factories import (
    CREDENTIAL,
    LEASE,
    NOW,
    PRICE,
    fault,
    make_batch,
    make_job,
    read_batch,
    read_claim,
    read_job,
    stored_output,
    take_due,
)

S = JobState
LATER = NOW + 2 * LEASE
ANSWER = Accepted("late", timedelta(seconds=5))


def lose(db: Connection, *, policy: str = "retry", calls: int = 2) -> tuple[str, Claim]:
    """A job whose answer was declared lost, and the claim of the worker that still has it."""
    batch_id = make_batch(db, budget_milli=calls * PRICE)
    job_id = make_job(db, S.SUBMITTING, batch_id=batch_id, row=0, on_uncertain=policy)
    late = read_claim(db, job_id)
    leases.rescue(db, LATER)
    (heir,) = take_due(db, LATER, owner="heir")
    settle(db, heir, Uncertain(fault()), LATER)
    return job_id, late


@pytest.mark.parametrize(
    ("policy", "calls"), [("retry", 2), ("hold", 2), ("retry", 1)], ids=["queued", "held", "budget"]
)
def test_a_late_id_is_polled_instead_of_paying_again(
    database: Database, policy: str, calls: int
) -> None:
    with database.transaction() as db:
        job_id, late = lose(db, policy=policy, calls=calls)

        settle(db, late, ANSWER, LATER)

        job = read_job(db, job_id)
        assert (job.state, job.result_id, job.held_for) == (S.POLLING, "late", None)
        assert (job.attempt_id, job.charged_milli) == (late.attempt_id, PRICE)
        assert read_batch(db, job.batch_id).reserved_milli == PRICE
        assert events_of(db, job_id)[-1].verb == "adopted"


def test_late_bytes_are_used_instead_of_paying_again(database: Database) -> None:
    with database.transaction() as db:
        job_id, late = lose(db)

        settle(db, late, Received(), LATER)
        settle(db, replace(late, state=S.STORING), Stored((stored_output(),)), LATER)

        job = read_job(db, job_id)
        assert (job.state, job.charged_milli) == (S.STORING, PRICE)
        assert read_batch(db, job.batch_id).reserved_milli == PRICE


def test_a_late_id_reaches_a_job_that_waits_for_funds(database: Database) -> None:
    with database.transaction() as db:
        job_id, late = lose(db)
        (claim,) = take_due(db, LATER)
        settle(db, claim, Unfunded(fault("no")), LATER)

        settle(db, late, ANSWER, LATER)

        job = read_job(db, job_id)
        assert (job.state, job.held_for) == (S.POLLING, None)
        assert read_batch(db, job.batch_id).reserved_milli == PRICE


def test_a_final_job_stays_as_it_is_and_is_charged(database: Database) -> None:
    with database.transaction() as db:
        job_id, late = lose(db, policy="fail")

        settle(db, late, ANSWER, LATER)

        job = read_job(db, job_id)
        assert (job.state, job.charged_milli) == (S.FAILED, PRICE)
        assert events_of(db, job_id)[-1].verb == "charged_late"


def test_nobody_pays_again_once_an_earlier_answer_is_there(database: Database) -> None:
    with database.transaction() as db:
        job_id, late = lose(db)
        (heir,) = take_due(db, LATER, owner="heir")
        settle(db, late, ANSWER, LATER)

        assert attempts.begin(db, heir, LATER, credential_id=CREDENTIAL, owner="heir") is None

        assert read_job(db, job_id).attempts == 1


def test_bytes_that_nobody_delivers_are_waited_for_in_vain_only_so_long(
    database: Database,
) -> None:
    with database.transaction() as db:
        _, late = lose(db)
        settle(db, late, Received(), LATER)
        (heir,) = take_due(db, LATER, owner="heir")

        def begin_at(now: object) -> object:
            return attempts.begin(db, heir, now, credential_id=CREDENTIAL, owner="heir")  # type: ignore[arg-type]

        assert begin_at(LATER + DELIVERY_PATIENCE / 2) is None
        assert begin_at(LATER + DELIVERY_PATIENCE) is not None


def test_an_adoption_that_comes_too_late_is_charged_all_the_same(database: Database) -> None:
    with database.transaction() as db:
        job_id, late = lose(db)
        (heir,) = take_due(db, LATER, owner="heir")
        desk.cancel(db, DEFAULT_PROJECT, job_id, LATER)

        assert not attempts.adopt(db, heir, late, S.STORING, LATER)

        job = read_job(db, job_id)
        assert (job.state, job.charged_milli) == (S.CANCELED, PRICE)


def test_two_attempts_that_are_both_answered_are_both_charged(database: Database) -> None:
    with database.transaction() as db:
        job_id, late = lose(db)
        (heir,) = take_due(db, LATER, owner="heir")
        begun = attempts.begin(db, heir, LATER, credential_id=CREDENTIAL, owner="heir")
        assert begun is not None

        settle(db, late, ANSWER, LATER)
        settle(db, begun, Accepted("second", timedelta(0)), LATER)

        job = read_job(db, job_id)
        assert (job.result_id, job.charged_milli) == ("second", 2 * PRICE)
        assert job.lease_owner is None


@pytest.mark.parametrize("is_first", [True, False], ids=["before the retry", "after it"])
@pytest.mark.parametrize("is_new", [True, False], ids=["other parameters", "the same"])
def test_a_late_id_is_not_used_for_other_parameters(
    database: Database, is_first: bool, is_new: bool
) -> None:
    # Given a job that failed as uncertain, and that a person retries
    with database.transaction() as db:
        job_id, late = lose(db, policy="fail", calls=99)
        old = read_job(db, job_id).params
        params = {"prompt": "another"} if is_new else old

        # when the answer to its call comes late,
        if is_first:
            settle(db, late, ANSWER, LATER)
        desk.retry(db, DEFAULT_PROJECT, job_id, LATER, params=params)
        if not is_first:
            settle(db, late, ANSWER, LATER)

        # then it is charged, and it is used if it is what the job asks for.
        job = read_job(db, job_id)
        assert (job.params, job.charged_milli) == (params, PRICE)
        usable = attempts.usable_attempts(db, job_id)
        assert [row.result_id for row in usable] == ([] if is_new else ["late"])
        if is_new:
            (claim,) = take_due(db, LATER)
            assert attempts.begin(db, claim, LATER, credential_id=CREDENTIAL, owner="heir")
            settle(db, late, ANSWER, LATER)
            assert read_job(db, job_id).state == S.SUBMITTING
        elif not is_first:
            assert job.state == S.POLLING


def test_what_comes_late_for_earlier_parameters_is_refused_in_any_later_wait(
    database: Database,
) -> None:
    # Given a job that was begun anew with other parameters, and waits again,
    with database.transaction() as db:
        job_id, late = lose(db, policy="fail", calls=99)
        desk.retry(db, DEFAULT_PROJECT, job_id, LATER, params={"prompt": "another"})
        (claim,) = take_due(db, LATER)
        begun = attempts.begin(db, claim, LATER + LEASE, credential_id=CREDENTIAL, owner="heir")
        assert begun is not None
        settle(db, begun, Unfunded(fault("no")), LATER)

        # when the first answer comes, then it stays as it is.
        settle(db, late, ANSWER, LATER)

        assert read_job(db, job_id).state == S.HELD
        assert attempts.usable_attempts(db, job_id) == []


def test_a_result_that_the_api_does_not_know_is_not_asked_for_again(database: Database) -> None:
    with database.transaction() as db:
        job_id = make_job(db, S.POLLING)
        (claim,) = take_due(db)
        settle(db, claim, Refused(fault("yes", code="result_unknown")), NOW)

        desk.retry(db, DEFAULT_PROJECT, job_id, LATER)

        assert attempts.usable_attempts(db, job_id) == []
