"""What is done to all jobs of a batch: in pieces, each whole, and finished whoever is cut off."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import OperationalError

from jobs import batches, ingest, tallies
from jobs.db import Database
from jobs.errors import Conflict
from jobs.history import events_of
from jobs.models import DEFAULT_PROJECT
from jobs.outcomes import Accepted, Outcome, TryAgain, Uncertain, Unfunded
from jobs.queue import bulk, desk
from jobs.queue.bulk import Bulk
from jobs.queue.moves import JOB, Claim
from jobs.queue.settling import settle
from jobs.states import FINAL, OPEN, JobState
from tests.factories import (
    NOW,
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
from tests.property import accounts
from workers.maintenance.finisher import finish_begun

S = JobState


def states(db: Connection, batch_id: str) -> dict[str, int]:
    """The batch's jobs by state, recounted."""
    rows = select(JOB.c.state, func.count()).where(JOB.c.batch_id == batch_id)
    return {state: int(n) for state, n in db.execute(rows.group_by(JOB.c.state))}


def pieces(db: Connection, batch_id: str, limit: int) -> list[int]:
    """How many jobs each piece changed, until it was over."""
    changed = []
    while not (piece := bulk.go_on(db, batch_id, NOW, limit=limit)).is_over:
        changed.append(piece.changed)
    return changed


def test_a_cancel_goes_on_piece_by_piece_and_counts_and_budget_agree(database: Database) -> None:
    # Given jobs in every state, also held for any reason,
    with database.transaction() as db:
        batch_id = make_batch(db, budget_milli=99 * PRICE)
        for row, state in enumerate(S):
            make_job(db, state, batch_id=batch_id, row=row)
        for row, reason in enumerate(("budget", "funds", "uncertain"), start=100):
            make_job(db, S.HELD, batch_id=batch_id, row=row, held_for=reason)
        for row in range(200, 205):
            make_job(db, batch_id=batch_id, row=row)

        # When the batch is canceled two jobs at a time,
        bulk.begin(db, batch_id, Bulk.CANCEL, NOW)
        changed = pieces(db, batch_id, 2)

        # Then nothing is left that was not sent, and all the books agree.
        assert changed == [2, 2, 2, 1, 2, 2]
        assert not set(states(db, batch_id)) & {S.WAITING, S.QUEUED, S.HELD}
        assert read_batch(db, batch_id).canceled_at == NOW
        assert read_batch(db, batch_id).reserved_milli == batches.reserved_now(db, batch_id)
        accounts.check_counters(db)


@pytest.mark.parametrize("state", sorted(FINAL))
def test_a_batch_that_has_finished_is_not_canceled(database: Database, state: JobState) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db, loaded_at=NOW)
        make_job(db, state, batch_id=batch_id, row=0)

        with pytest.raises(Conflict, match="finished already"):
            bulk.begin(db, batch_id, Bulk.CANCEL, NOW)

        assert read_batch(db, batch_id).canceled_at is None


@pytest.mark.parametrize(
    ("state", "columns"),
    [
        *((state, {"loaded_at": NOW}) for state in sorted(OPEN)),
        (S.SUCCEEDED, {"loaded_at": None}),
        (S.FAILED, {"loaded_at": NOW, "bulk_verb": "retry", "bulk_since": NOW}),
        (S.CANCELED, {"loaded_at": NOW, "canceled_at": NOW}),
    ],
    ids=[*sorted(OPEN), "more rows may come", "a retry is under way", "canceled before"],
)
def test_a_batch_of_which_something_may_be_left_is_canceled(
    database: Database, state: JobState, columns: dict[str, Any]
) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db, **columns)
        make_job(db, state, batch_id=batch_id, row=0)

        cancel(db, batch_id, NOW)

        assert read_batch(db, batch_id).canceled_at == NOW


def test_each_canceled_job_has_its_line_of_history(database: Database) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db)
        job_id = make_job(db, S.WAITING, batch_id=batch_id, row=0)
        bulk.begin(db, batch_id, Bulk.CANCEL, NOW)
        pieces(db, batch_id, 9)

        last = events_of(db, job_id)[-1]
        assert (last.verb, last.origin, last.target) == ("canceled", "waiting", "canceled")


def test_a_worker_that_had_a_canceled_job_does_not_pay(database: Database) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db)
        make_job(db, batch_id=batch_id, row=0)
        (claim,) = take_due(db)
        bulk.begin(db, batch_id, Bulk.CANCEL, NOW)
        pieces(db, batch_id, 9)

        assert read_job(db, claim.id).state == S.CANCELED
        assert read_job(db, claim.id).lease_owner is None


SETBACKS = {
    "throttled": TryAgain(fault("no"), timedelta(0), spends_try=False),
    "refused": TryAgain(fault("no"), timedelta(0)),
    "uncertain": Uncertain(fault()),
    "unfunded": Unfunded(fault("no")),
}


def call_in_batch(db: Connection, **columns: Any) -> tuple[str, Claim]:
    """A paid call under way in a batch with a budget, and the batch."""
    batch_id = make_batch(db, budget_milli=99 * PRICE, loaded_at=NOW)
    job_id = make_job(db, S.SUBMITTING, batch_id=batch_id, row=0, **columns)
    return batch_id, read_claim(db, job_id)


def cancel(db: Connection, batch_id: str, now: datetime) -> None:
    bulk.begin(db, batch_id, Bulk.CANCEL, now)
    pieces(db, batch_id, 9)


@pytest.mark.parametrize("policy", ["retry", "hold"])
@pytest.mark.parametrize("outcome", SETBACKS.values(), ids=SETBACKS)
def test_a_call_that_comes_to_nothing_after_a_cancel_is_not_made_again(
    database: Database, outcome: Outcome, policy: str
) -> None:
    with database.transaction() as db:
        batch_id, claim = call_in_batch(db, on_uncertain=policy)
        cancel(db, batch_id, NOW)

        assert settle(db, claim, outcome, NOW)

        job = read_job(db, claim.id)
        assert (job.state, job.held_for, job.due_at) == (S.CANCELED, None, None)
        assert read_batch(db, batch_id).reserved_milli == batches.reserved_now(db, batch_id)
        assert events_of(db, claim.id)[-1].verb == "canceled"
        accounts.check_counters(db)


def test_a_cancel_and_a_call_that_is_put_back_do_not_miss_each_other(postgres_url: str) -> None:
    # Given a call that is just being put back in the queue,
    database = Database(postgres_url)
    with database.transaction() as db:
        batch_id, claim = call_in_batch(db)
    with database.transaction() as db, database.connected() as another:
        settle(db, claim, SETBACKS["throttled"], NOW)

        # when its batch is to be canceled, then that waits, and so finds it in the queue.
        another.execute(text("SET LOCAL lock_timeout = '50ms'"))
        with pytest.raises(OperationalError, match="lock timeout"):
            bulk.begin(another, batch_id, Bulk.CANCEL, NOW)
    with database.transaction() as db:
        cancel(db, batch_id, NOW)
        assert read_job(db, claim.id).state == S.CANCELED
    database.close()


def test_what_was_sent_before_a_cancel_is_still_fetched(database: Database) -> None:
    with database.transaction() as db:
        batch_id, claim = call_in_batch(db)
        cancel(db, batch_id, NOW)

        assert settle(db, claim, Accepted("result", timedelta(0)), NOW)

        assert read_job(db, claim.id).state == S.POLLING


def test_a_job_that_a_person_retries_after_a_cancel_goes_on_until_the_next(
    database: Database,
) -> None:
    # Given a canceled batch, one of whose jobs a person retried,
    throttled = SETBACKS["throttled"]
    with database.transaction() as db:
        batch_id, claim = call_in_batch(db)
        cancel(db, batch_id, NOW)
        settle(db, claim, throttled, NOW)
        at = iter(NOW + timedelta(seconds=n) for n in range(1, 9))
        desk.retry(db, DEFAULT_PROJECT, claim.id, next(at))

        # when its call is refused, then it is made again,
        settle(db, begin_next(db, next(at)), throttled, next(at))
        assert read_job(db, claim.id).state == S.QUEUED

        # unless the batch was canceled once more.
        begun = begin_next(db, next(at))
        cancel(db, batch_id, next(at))
        settle(db, begun, throttled, next(at))
        assert read_job(db, claim.id).state == S.CANCELED


def test_a_retry_opens_what_had_failed_when_it_was_asked_for(database: Database) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db)
        failed = [make_job(db, S.FAILED, batch_id=batch_id, row=row) for row in range(3)]
        later = NOW + timedelta(seconds=1)
        again = make_job(db, S.FAILED, batch_id=batch_id, row=9, finished_at=later)
        make_job(db, S.CANCELED, batch_id=batch_id, row=10)

        bulk.begin(db, batch_id, Bulk.RETRY, NOW)
        assert pieces(db, batch_id, 2) == [2, 1]

        assert {read_job(db, job_id).state for job_id in failed} == {S.QUEUED}
        assert read_job(db, again).state == S.FAILED
        assert states(db, batch_id) == {"queued": 3, "failed": 1, "canceled": 1}
        accounts.check_counters(db)


def test_a_retry_goes_as_far_as_the_budget(database: Database) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db, budget_milli=3 * PRICE)
        for row in range(5):
            make_job(db, S.FAILED, batch_id=batch_id, row=row)

        bulk.begin(db, batch_id, Bulk.RETRY, NOW)
        pieces(db, batch_id, 2)

        assert states(db, batch_id) == {"queued": 3, "failed": 2}
        assert read_batch(db, batch_id).reserved_milli == 3 * PRICE


def test_a_new_priority_comes_to_all_that_was_not_begun(database: Database) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db)
        kinds = [S.QUEUED, S.WAITING, S.SUBMITTING, S.QUEUED, S.HELD]
        jobs = [make_job(db, s, batch_id=batch_id, row=row) for row, s in enumerate(kinds)]

        batches.change(db, DEFAULT_PROJECT, batch_id, NOW, priority=7)
        pieces(db, batch_id, 2)

        assert [read_job(db, job_id).priority for job_id in jobs] == [7, 7, 0, 7, 7]


def test_what_was_cut_off_is_finished_by_the_beat(database: Database) -> None:
    # Given a batch whose start was cut off before its first piece, and one whose cancel was,
    now = database.now()
    with database.transaction() as db:
        starting, canceling = make_batch(db), make_batch(db, loaded_at=now)
        for row in range(3):
            make_job(db, S.WAITING, batch_id=starting, row=row)
            make_job(db, batch_id=canceling, row=row)
        bulk.begin(db, canceling, Bulk.CANCEL, now)
    begun = ingest.start(database, DEFAULT_PROJECT, starting)
    next(begun)
    begun.close()

    # When the beat comes round,
    while finish_begun(database):
        pass

    # Then both are as they were meant to be.
    with database.reading() as db:
        assert states(db, starting) == {"queued": 3}
        assert states(db, canceling) == {"canceled": 3}
        assert bulk.unfinished(db) == []
        assert tallies.counts(db).by_state == {S.QUEUED: 3, S.CANCELED: 3}


def test_two_verbs_do_not_mix_but_a_cancel_always_comes_through(database: Database) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db)
        bulk.begin(db, batch_id, Bulk.RETRY, NOW)

        with pytest.raises(Conflict, match="retry under way"):
            bulk.begin(db, batch_id, Bulk.PRIORITIZE, NOW)

        bulk.begin(db, batch_id, Bulk.CANCEL, NOW)
        assert read_batch(db, batch_id).bulk_verb == "cancel"


@pytest.mark.parametrize(
    ("verb", "before", "after"),
    [(Bulk.START, S.WAITING, S.QUEUED), (Bulk.CANCEL, S.QUEUED, S.CANCELED)],
)
def test_a_piece_waits_for_no_job_that_somebody_else_has_locked(
    postgres_url: str, verb: Bulk, before: JobState, after: JobState
) -> None:
    # Given a verb for two jobs,
    database = Database(postgres_url)
    with database.transaction() as db:
        batch_id = make_batch(db, loaded_at=NOW)
        locked, free = (make_job(db, before, batch_id=batch_id, row=row) for row in range(2))
        bulk.begin(db, batch_id, verb, NOW)

    # When it is carried out while somebody else has one of them locked, and after that,
    with database.transaction() as other:
        desk.find(other, DEFAULT_PROJECT, locked)
        with database.transaction() as db:
            found = [bulk.go_on(db, batch_id, NOW) for _ in range(2)]
    with database.transaction() as db:
        rest = [bulk.go_on(db, batch_id, NOW) for _ in range(2)]

        # Then it is over only with the second job.
        assert read_job(db, free).state == read_job(db, locked).state == after
    assert [(p.changed, p.is_over) for p in found + rest] == [
        (1, False),
        (0, False),
        (1, False),
        (0, True),
    ]
    database.close()


def test_a_budget_that_has_room_lets_nothing_of_an_unstarted_batch_go(database: Database) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db, budget_milli=9 * PRICE)
        make_job(db, S.HELD, held_for="budget", batch_id=batch_id, row=0)

        assert desk.release_budgeted(db, NOW) == 0
