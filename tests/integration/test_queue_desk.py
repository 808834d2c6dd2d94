"""People and money decide: cancel, retry, resolve, release; and what they must not touch."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from jobs.db import Database
from jobs.errors import Conflict, NotFound
from jobs.history import events_of
from jobs.models import DEFAULT_PROJECT
from jobs.outcomes import Accepted, Refused, Uncertain
from jobs.queue import attempts, bulk, desk
from jobs.queue.bulk import Bulk
from jobs.queue.moves import BATCH
from jobs.queue.settling import settle
from jobs.states import FINAL, MOVES, PAID, JobState
from tests.factories import (
    CREDENTIAL,
    NOW,
    OWNER,
    PRICE,
    begin_next,
    fault,
    make_batch,
    make_job,
    read_batch,
    read_claim,
    read_job,
    take_due,
)

S = JobState
HELD_FOR = {"budget": 0, "uncertain": 1, "funds": 0}


@pytest.mark.parametrize("state", [S.WAITING, S.QUEUED])
def test_what_was_not_sent_is_canceled_and_frees_its_budget(
    database: Database, state: JobState
) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db, budget_milli=PRICE)
        job_id = make_job(db, state, batch_id=batch_id, row=0)

        desk.cancel(db, DEFAULT_PROJECT, job_id, NOW)

        assert read_job(db, job_id).state == S.CANCELED
        assert events_of(db, job_id)[-1].verb == "canceled"
        assert read_batch(db, batch_id).reserved_milli == 0


@pytest.mark.parametrize(("held_for", "calls"), HELD_FOR.items(), ids=HELD_FOR)
def test_a_canceled_job_keeps_set_aside_only_what_may_be_paid(
    database: Database, held_for: str, calls: int
) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db, budget_milli=PRICE)
        job_id = make_job(db, S.HELD, batch_id=batch_id, row=0, held_for=held_for)

        desk.cancel(db, DEFAULT_PROJECT, job_id, NOW)

        assert read_batch(db, batch_id).reserved_milli == calls * PRICE


@pytest.mark.parametrize("state", sorted(PAID | FINAL - {S.CANCELED}))
def test_what_was_sent_or_is_over_is_not_canceled(database: Database, state: JobState) -> None:
    with database.transaction() as db:
        job_id = make_job(db, state)

        with pytest.raises(Conflict):
            desk.cancel(db, DEFAULT_PROJECT, job_id, NOW)

        assert read_job(db, job_id).state == state


def test_a_canceled_job_is_never_started(database: Database) -> None:
    with database.transaction() as db:
        make_job(db)
        (claim,) = take_due(db)
        desk.cancel(db, DEFAULT_PROJECT, claim.id, NOW)

        assert attempts.begin(db, claim, NOW, credential_id=CREDENTIAL, owner=OWNER) is None


def test_who_had_a_job_before_it_was_canceled_and_retried_has_it_no_more(
    database: Database,
) -> None:
    with database.transaction() as db:
        make_job(db)
        (claim,) = take_due(db)
        desk.cancel(db, DEFAULT_PROJECT, claim.id, NOW)
        desk.retry(db, DEFAULT_PROJECT, claim.id, NOW)

        assert attempts.begin(db, claim, NOW, credential_id=CREDENTIAL, owner=OWNER) is None
        assert not settle(db, claim, Refused(fault("no")), NOW)

        assert read_job(db, claim.id).state == S.QUEUED


def test_a_batch_is_canceled_as_far_as_it_was_not_sent(database: Database) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db, budget_milli=9 * PRICE)
        states = [S.QUEUED, S.WAITING, S.HELD, S.SUBMITTING, S.POLLING, S.SUCCEEDED]
        ids = [make_job(db, s, batch_id=batch_id, row=row) for row, s in enumerate(states)]

        bulk.begin(db, batch_id, Bulk.CANCEL, NOW)
        assert [bulk.go_on(db, batch_id, NOW).changed for _ in range(4)] == [1, 1, 1, 0]

        found = [read_job(db, job_id).state for job_id in ids]
        assert found == [S.CANCELED] * 3 + states[3:]
        assert read_batch(db, batch_id).canceled_at == NOW
        assert read_batch(db, batch_id).reserved_milli == 4 * PRICE


@pytest.mark.parametrize("state", sorted(desk.RETRYABLE))
def test_a_job_that_ended_without_success_is_opened_again(
    database: Database, state: JobState
) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db, budget_milli=PRICE)
        job_id = make_job(db, state, batch_id=batch_id, row=0, crashes=2)

        desk.retry(db, DEFAULT_PROJECT, job_id, NOW)

        job = read_job(db, job_id)
        assert (job.state, job.finished_at, job.due_at) == (S.QUEUED, None, NOW)
        assert job.crashes == 0
        assert read_batch(db, batch_id).reserved_milli == PRICE
        assert begin_next(db).id == job_id


@pytest.mark.parametrize("state", sorted(set(JobState) - desk.RETRYABLE))
def test_any_other_job_is_not_retried(database: Database, state: JobState) -> None:
    with database.transaction() as db:
        job_id = make_job(db, state)

        with pytest.raises(Conflict):
            desk.retry(db, DEFAULT_PROJECT, job_id, NOW)


def test_a_retry_beyond_the_budget_is_refused(database: Database) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db, budget_milli=PRICE)
        make_job(db, batch_id=batch_id, row=0)
        job_id = make_job(db, S.FAILED, batch_id=batch_id, row=1)

        with pytest.raises(Conflict, match="budget"):
            desk.retry(db, DEFAULT_PROJECT, job_id, NOW)

        assert read_job(db, job_id).state == S.FAILED


@pytest.mark.parametrize(
    ("decision", "target", "calls"), [("give-up", S.FAILED, 1), ("resubmit", S.QUEUED, 2)]
)
def test_a_person_resolves_an_uncertain_job(
    database: Database, decision: Any, target: JobState, calls: int
) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db, budget_milli=2 * PRICE)
        job_id = make_job(db, S.HELD, batch_id=batch_id, row=0)

        desk.resolve(db, DEFAULT_PROJECT, job_id, NOW, decision=decision)

        assert read_job(db, job_id).state == target
        assert read_batch(db, batch_id).reserved_milli == calls * PRICE


@pytest.mark.parametrize("held_for", ["budget", "funds"])
def test_only_an_uncertain_job_is_resolved(database: Database, held_for: str) -> None:
    with database.transaction() as db:
        job_id = make_job(db, S.HELD, held_for=held_for)

        with pytest.raises(Conflict):
            desk.resolve(db, DEFAULT_PROJECT, job_id, NOW, decision="resubmit")


def test_another_project_finds_no_job(database: Database) -> None:
    with database.transaction() as db:
        job_id = make_job(db)

        for verb in (desk.cancel, desk.retry):
            with pytest.raises(NotFound):
                verb(db, "another", job_id, NOW)


def test_funds_set_only_what_was_held_for_them_free(database: Database) -> None:
    with database.transaction() as db:
        ids = {reason: make_job(db, S.HELD, held_for=reason) for reason in HELD_FOR}

        assert desk.release_funded(db, NOW) == 1

        states = {reason: read_job(db, job_id).state for reason, job_id in ids.items()}
        assert states == {"funds": S.QUEUED, "uncertain": S.HELD, "budget": S.HELD}


def test_funds_set_only_free_what_they_are_enough_for(database: Database) -> None:
    with database.transaction() as db:
        make_job(db, S.HELD, held_for="funds", estimated_milli=PRICE + 1)
        enough = make_job(db, S.HELD, held_for="funds", estimated_milli=PRICE)

        assert desk.release_funded(db, NOW, most_milli=PRICE, limit=1) == 1

        assert read_job(db, enough).state == S.QUEUED
        assert desk.awaits_funds(db)
        assert desk.release_funded(db, NOW) == 1
        assert not desk.awaits_funds(db)


def test_a_raised_budget_lets_in_as_many_as_it_has_room_for(database: Database) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db, budget_milli=0, loaded_at=NOW)
        for row in range(3):
            make_job(db, S.HELD, held_for="budget", batch_id=batch_id, row=row)
        assert desk.release_budgeted(db, NOW) == 0

        db.execute(BATCH.update().values(budget_milli=2 * PRICE))

        assert desk.release_budgeted(db, NOW) == 2
        assert read_batch(db, batch_id).reserved_milli == 2 * PRICE


def test_a_second_payment_that_waited_for_budget_is_the_last(database: Database) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db, budget_milli=PRICE, loaded_at=NOW)
        job_id = make_job(db, S.SUBMITTING, batch_id=batch_id, row=0)
        settle(db, read_claim(db, job_id), Uncertain(fault()), NOW)
        db.execute(BATCH.update().values(budget_milli=9 * PRICE))
        desk.release_budgeted(db, NOW)

        settle(db, begin_next(db), Uncertain(fault()), NOW)

        job = read_job(db, job_id)
        assert (job.state, job.held_for, job.attempts) == (S.HELD, "uncertain", 2)


def test_no_verb_leaves_a_final_state_but_retry() -> None:
    opened = {state for state in FINAL if MOVES[state]}

    assert opened == desk.RETRYABLE


@pytest.mark.parametrize("policy", ["retry", "hold"])
def test_a_job_that_was_called_off_on_its_way_is_not_sent_again(
    database: Database, policy: str
) -> None:
    with database.transaction() as db:
        job_id = make_job(db, S.SUBMITTING, on_uncertain=policy)
        desk.call_off(db, DEFAULT_PROJECT, job_id, NOW)
        assert read_job(db, job_id).state == S.SUBMITTING

        settle(db, read_claim(db, job_id), Uncertain(fault()), NOW)

        assert read_job(db, job_id).state == S.CANCELED
        assert [event.verb for event in events_of(db, job_id)][-1] == "canceled"


def test_what_comes_of_a_job_that_was_called_off_is_kept(database: Database) -> None:
    with database.transaction() as db:
        job_id = make_job(db, S.SUBMITTING)
        desk.call_off(db, DEFAULT_PROJECT, job_id, NOW)

        settle(db, read_claim(db, job_id), Accepted("result", timedelta(0)), NOW)

        assert read_job(db, job_id).state == S.POLLING


def test_a_job_that_was_called_off_goes_on_if_it_is_wanted_again(database: Database) -> None:
    with database.transaction() as db:
        job_id = make_job(db, S.SUBMITTING)
        desk.call_off(db, DEFAULT_PROJECT, job_id, NOW)
        desk.retry(db, DEFAULT_PROJECT, job_id, NOW)

        settle(db, read_claim(db, job_id), Uncertain(fault()), NOW)

        assert read_job(db, job_id).state == S.QUEUED


def test_a_call_off_and_a_call_that_is_put_back_do_not_miss_each_other(postgres_url: str) -> None:
    # Given a call that is just being put back in the queue,
    database = Database(postgres_url)
    with database.transaction() as db:
        job_id = make_job(db, S.SUBMITTING)
    with database.transaction() as db, database.connected() as another:
        settle(db, read_claim(db, job_id), Uncertain(fault()), NOW)

        # when it is to be called off, then that waits, and so finds it in the queue.
        another.execute(text("SET LOCAL lock_timeout = '50ms'"))
        with pytest.raises(OperationalError, match="lock timeout"):
            desk.call_off(another, DEFAULT_PROJECT, job_id, NOW)
    with database.transaction() as db:
        desk.call_off(db, DEFAULT_PROJECT, job_id, NOW)
        assert read_job(db, job_id).state == S.CANCELED
    database.close()


def test_what_has_ended_cannot_be_called_off(database: Database) -> None:
    with database.transaction() as db:
        job_id = make_job(db, S.SUCCEEDED)

        with pytest.raises(Conflict, match="has succeeded already"):
            desk.call_off(db, DEFAULT_PROJECT, job_id, NOW)
