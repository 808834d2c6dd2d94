"""Every outcome: the state it comes to, its place in the history, and what it costs."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from jobs.db import Database
from jobs.history import attempts_of, events_of, outputs_of
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
from jobs.queue import leases
from jobs.queue.setbacks import MOST_REFUSALS
from jobs.queue.settling import settle
from jobs.states import JobState
from tests.factories import (
    LEASE,
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
    stored_output,
)

S = JobState
DELAY = timedelta(seconds=7)
LATER = NOW + 2 * LEASE
NO, MAYBE, YES = fault("no"), fault("unknown"), fault("yes")

#: An outcome of a job in a state: the next state, the verb, and calls set aside afterwards.
CASES: dict[str, tuple[JobState, Outcome, dict[str, Any], JobState, str | None, int]] = {
    "accepted": (S.SUBMITTING, Accepted("id", DELAY), {}, S.POLLING, "accepted", 1),
    "received": (S.SUBMITTING, Received(), {}, S.STORING, "received", 1),
    "fetched": (S.POLLING, Received(), {}, S.STORING, "received", 1),
    "running": (S.POLLING, Running(DELAY), {}, S.POLLING, None, 1),
    "stored": (S.STORING, Stored((stored_output(),)), {}, S.SUCCEEDED, "succeeded", 1),
    "filtered": (
        S.STORING,
        Stored((stored_output(finish_reason="CONTENT_FILTERED"),)),
        {},
        S.FILTERED,
        "filtered",
        1,
    ),
    "refetch": (S.STORING, Refetch(YES, DELAY), {"result_id": "id"}, S.POLLING, "refetch", 1),
    "refused": (S.SUBMITTING, Refused(NO), {}, S.FAILED, "failed", 0),
    "refused, charged": (S.SUBMITTING, Refused(YES), {}, S.FAILED, "failed", 1),
    "not begun": (S.QUEUED, Refused(NO), {}, S.FAILED, "failed", 0),
    "try again": (S.SUBMITTING, TryAgain(NO, DELAY), {}, S.QUEUED, "refused", 1),
    "last refusal": (
        S.SUBMITTING,
        TryAgain(NO, DELAY),
        {"refusals": MOST_REFUSALS - 1},
        S.FAILED,
        "failed",
        0,
    ),
    "throttled": (
        S.SUBMITTING,
        TryAgain(NO, DELAY, spends_try=False),
        {"refusals": MOST_REFUSALS - 1},
        S.QUEUED,
        "refused",
        1,
    ),
    "unfunded": (S.SUBMITTING, Unfunded(NO), {}, S.HELD, "unfunded", 1),
    "no credential": (S.QUEUED, Unfunded(NO), {}, S.HELD, "unfunded", 1),
    "uncertain": (S.SUBMITTING, Uncertain(MAYBE), {}, S.QUEUED, "uncertain", 2),
    "uncertain again": (S.SUBMITTING, Uncertain(MAYBE), {"resubmits": 1}, S.HELD, "uncertain", 1),
    "uncertain, hold": (
        S.SUBMITTING,
        Uncertain(MAYBE),
        {"on_uncertain": "hold"},
        S.HELD,
        "uncertain",
        1,
    ),
    "uncertain, fail": (
        S.SUBMITTING,
        Uncertain(MAYBE),
        {"on_uncertain": "fail"},
        S.FAILED,
        "uncertain",
        1,
    ),
    "expired": (S.POLLING, Expired(YES), {}, S.QUEUED, "expired", 2),
    "snoozed": (S.QUEUED, Snoozed(DELAY), {}, S.QUEUED, None, 1),
}


@pytest.mark.parametrize(
    ("state", "outcome", "columns", "target", "verb", "calls"), CASES.values(), ids=CASES
)
def test_an_outcome_has_its_state_its_event_and_its_price(
    database: Database,
    state: JobState,
    outcome: Outcome,
    columns: dict[str, Any],
    target: JobState,
    verb: str | None,
    calls: int,
) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db, budget_milli=2 * PRICE)
        job_id = make_job(db, state, batch_id=batch_id, row=0, lease_owner=OWNER, **columns)
        before = len(events_of(db, job_id))

        assert settle(db, read_claim(db, job_id), outcome, NOW)

        job, events = read_job(db, job_id), events_of(db, job_id)[before:]
        assert job.state == target
        assert [event.verb for event in events] == ([verb] if verb else [])
        assert all((event.origin, event.target) == (state, target) for event in events)
        assert read_batch(db, batch_id).reserved_milli == calls * PRICE


@pytest.mark.parametrize(
    ("state", "outcome", "columns", "target", "verb", "calls"),
    [case for name, case in CASES.items() if name != "snoozed"],
    ids=[name for name in CASES if name != "snoozed"],
)
def test_a_late_outcome_changes_neither_the_job_nor_the_budget(
    database: Database,
    state: JobState,
    outcome: Outcome,
    columns: dict[str, Any],
    target: JobState,
    verb: str | None,
    calls: int,
) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db, budget_milli=2 * PRICE)
        job_id = make_job(db, state, batch_id=batch_id, row=0, lease_owner=OWNER, **columns)
        late = read_claim(db, job_id)
        leases.rescue(db, LATER)
        rescued = read_job(db, job_id)

        assert not settle(db, late, outcome, LATER)

        job = read_job(db, job_id)
        unchanged = (
            "state",
            "fence",
            "due_at",
            "lease_owner",
            "attempt_id",
            "refusals",
            "held_for",
        )
        assert [getattr(job, name) for name in unchanged] == [
            getattr(rescued, name) for name in unchanged
        ]
        assert read_batch(db, batch_id).reserved_milli == PRICE


def test_an_outcome_and_its_event_come_together_or_not_at_all(database: Database) -> None:
    with database.transaction() as db:
        job_id = make_job(db, S.SUBMITTING)
        before = events_of(db, job_id)

    def settle_and_die() -> None:
        with database.transaction() as db:
            settle(db, read_claim(db, job_id), Accepted("id", DELAY), NOW)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        settle_and_die()

    with database.reading() as db:
        assert read_job(db, job_id).state == S.SUBMITTING
        assert events_of(db, job_id) == before


def test_an_answer_is_charged_once_though_it_is_learned_twice(database: Database) -> None:
    with database.transaction() as db:
        job_id = make_job(db, S.SUBMITTING)
        slow = read_claim(db, job_id)
        leases.rescue(db, LATER)
        heir = read_claim(db, job_id)

        settle(db, slow, Accepted("id", DELAY), LATER)
        settle(db, heir, Accepted("id", DELAY), LATER)

        job = read_job(db, job_id)
        assert (job.state, job.charged_milli) == (S.POLLING, PRICE)
        assert sum(event.charged_milli for event in events_of(db, job_id)) == PRICE


def test_a_fenced_off_worker_still_tells_what_became_of_its_attempt(database: Database) -> None:
    with database.transaction() as db:
        job_id = make_job(db, S.SUBMITTING)
        late = read_claim(db, job_id)
        leases.rescue(db, LATER)

        assert not settle(db, late, Accepted("id", DELAY), LATER)

        (attempt,) = attempts_of(db, job_id)
        assert (attempt.result_id, attempt.accepted_at) == ("id", LATER)


def test_facts_of_an_attempt_are_never_overwritten(database: Database) -> None:
    with database.transaction() as db:
        job_id = make_job(db, S.POLLING)
        claim = read_claim(db, job_id)

        settle(db, claim, Received(), NOW)
        settle(db, replace(claim, state=S.STORING), Uncertain(MAYBE), LATER)

        (attempt,) = attempts_of(db, job_id)
        assert (attempt.accepted_at, attempt.received_at) == (NOW, NOW)
        assert (attempt.result_id, attempt.uncertain_at) == ("result", LATER)


def test_a_policy_without_room_in_the_budget_holds_the_job_for_it(database: Database) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db, budget_milli=PRICE)
        job_id = make_job(db, S.SUBMITTING, batch_id=batch_id, row=0)

        settle(db, read_claim(db, job_id), Uncertain(MAYBE), NOW)

        job = read_job(db, job_id)
        assert (job.state, job.held_for) == (S.HELD, "budget")
        assert read_batch(db, batch_id).reserved_milli == PRICE


def test_all_outputs_are_rows_of_a_job_that_succeeded(database: Database) -> None:
    with database.transaction() as db:
        job_id = make_job(db, S.STORING)

        settle(db, read_claim(db, job_id), Stored((stored_output(0), stored_output(1))), NOW)

        outputs = outputs_of(db, [job_id])[job_id]
        assert [output.number for output in outputs] == [0, 1]
        assert read_job(db, job_id).finished_at == NOW


def test_bytes_that_were_received_and_lost_are_paid_for_again_only_once(
    database: Database,
) -> None:
    with database.transaction() as db:
        job_id = make_job(db, S.STORING)
        settle(db, read_claim(db, job_id), Uncertain(MAYBE), NOW)

        again = begin_next(db)

        assert (again.id, again.attempts, again.resubmits) == (job_id, 2, 1)
