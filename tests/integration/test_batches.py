"""Batches: a load that was cut is done again, and a budget that changes is recounted."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Connection, select, text

from jobs import batches, ingest
from jobs.batches import NewBatch, load_rows, open_batch, reserved_now
from jobs.db import Database
from jobs.errors import Conflict, NotFound
from jobs.models import DEFAULT_PROJECT
from jobs.outcomes import Accepted, Refused, Uncertain
from jobs.queue import bulk, desk, leases
from jobs.queue.bulk import Bulk
from jobs.queue.intake import NewJob, draft, submit
from jobs.queue.moves import JOB
from jobs.queue.settling import settle
from jobs.states import JobState
from tests.factories import (
    LEASE,
    NOW,
    PRICE,
    fault,
    make_batch,
    make_job,
    new_job,
    read_batch,
    read_claim,
)
from tests.servers import wait_until

WANTED = NewBatch(
    name="hares", fingerprint="first", size=7, on_uncertain="retry", about={}, budget_milli=None
)
ROWS = [new_job(row=number) for number in range(7)]


class Cut(Exception):
    """The loader was killed."""


def open_wanted(db: Connection, wanted: NewBatch = WANTED) -> tuple[str, bool]:
    return open_batch(db, wanted, NOW, project_id=DEFAULT_PROJECT)


def rows_until_cut() -> Iterator[NewJob]:
    yield from ROWS[:5]
    raise Cut


def test_the_same_name_and_rows_again_are_the_same_batch(database: Database) -> None:
    with database.transaction() as db:
        batch_id, is_new = open_wanted(db)

        assert is_new
        assert open_wanted(db) == (batch_id, False)


@pytest.mark.parametrize("before", [None, 9 * PRICE])
@pytest.mark.parametrize("after", [None, 2 * PRICE])
def test_a_budget_that_was_changed_stays_so_when_the_batch_is_asked_for_again(
    database: Database, before: int | None, after: int | None
) -> None:
    with database.transaction() as db:
        wanted = replace(WANTED, budget_milli=before)
        batch_id, _ = open_wanted(db, wanted)
        batches.change(db, DEFAULT_PROJECT, batch_id, NOW, budget_milli=after)

        assert open_wanted(db, wanted) == (batch_id, False)

        assert read_batch(db, batch_id).budget_milli == after


def test_a_name_that_belongs_to_other_rows_is_refused(database: Database) -> None:
    with database.transaction() as db:
        open_wanted(db)

        with pytest.raises(Conflict, match="--name"):
            open_wanted(db, replace(WANTED, fingerprint="second"))


def test_a_load_that_was_cut_is_completed_without_doubles(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "ROWS_AT_ONCE", 2)
    with database.transaction() as db:
        batch_id, _ = open_wanted(db, replace(WANTED, budget_milli=9 * PRICE))
    with pytest.raises(Cut):
        list(load_rows(database, batch_id, rows_until_cut(), project_id=DEFAULT_PROJECT))
    with database.reading() as db:
        before = set(db.execute(select(JOB.c.id)).scalars())
        assert read_batch(db, batch_id).loaded_at is None

    assert list(load_rows(database, batch_id, ROWS, project_id=DEFAULT_PROJECT)) == [2, 4, 6, 7]

    with database.reading() as db:
        jobs = db.execute(select(JOB.c.id, JOB.c.row)).all()
        assert sorted(job.row for job in jobs) == list(range(7))
        assert before < {job.id for job in jobs}
        assert read_batch(db, batch_id).loaded_at is not None
        assert read_batch(db, batch_id).reserved_milli == 7 * PRICE


def test_a_load_ends_when_its_batch_is_canceled_and_cannot_be_done_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "ROWS_AT_ONCE", 2)
    with database.transaction() as db:
        batch_id, _ = open_wanted(db, replace(WANTED, budget_milli=9 * PRICE))

    def rows_until_canceled() -> Iterator[NewJob]:
        yield from ROWS[:3]
        with database.transaction() as db:
            bulk.begin(db, batch_id, Bulk.CANCEL, NOW)
        list(batches.carry_out(database, batch_id))
        yield from ROWS[3:]

    for rows in (rows_until_canceled(), ROWS):
        with pytest.raises(Conflict, match="'hares' is canceled"):
            list(load_rows(database, batch_id, rows, project_id=DEFAULT_PROJECT))

    with database.reading() as db:
        assert list(db.execute(select(JOB.c.state)).scalars()) == [JobState.CANCELED] * 2
        assert read_batch(db, batch_id).loaded_at is None
        assert read_batch(db, batch_id).reserved_milli == 0


def test_a_batch_is_found_by_its_name_and_by_its_id_in_its_own_project(
    database: Database,
) -> None:
    with database.transaction() as db:
        batch_id, _ = open_wanted(db)

        assert batches.get_batch(db, DEFAULT_PROJECT, "hares").id == batch_id
        assert batches.get_batch(db, DEFAULT_PROJECT, batch_id).id == batch_id
        with pytest.raises(NotFound):
            batches.get_batch(db, "another", batch_id)


def test_a_budget_that_comes_later_counts_what_was_paid_and_what_may_be(
    database: Database,
) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db, name="hares", fingerprint="first")
        for row, state in enumerate(JobState):
            make_job(db, state, batch_id=batch_id, row=row)

        batches.change(db, DEFAULT_PROJECT, batch_id, NOW, budget_milli=99 * PRICE)

        free = {JobState.FAILED, JobState.CANCELED, JobState.SKIPPED}
        assert read_batch(db, batch_id).reserved_milli == len(set(JobState) - free) * PRICE


def test_a_lost_call_stays_in_the_recount_though_nobody_was_charged(database: Database) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db, budget_milli=9 * PRICE)
        job_id = make_job(db, JobState.SUBMITTING, batch_id=batch_id, row=0, on_uncertain="fail")

        settle(db, read_claim(db, job_id), Uncertain(fault()), NOW)

        assert reserved_now(db, batch_id) == PRICE
        assert read_batch(db, batch_id).reserved_milli == PRICE


@pytest.mark.parametrize("late", [Refused(fault("no")), Accepted("id", timedelta(0))], ids=type)
def test_the_recount_agrees_whatever_a_late_worker_tells(
    database: Database, late: Refused | Accepted
) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db, budget_milli=9 * PRICE)
        job_id = make_job(db, JobState.SUBMITTING, batch_id=batch_id, row=0)
        slow = read_claim(db, job_id)
        leases.rescue(db, NOW + 2 * LEASE)

        settle(db, slow, late, NOW)
        assert reserved_now(db, batch_id) == read_batch(db, batch_id).reserved_milli

        settle(db, read_claim(db, job_id), Uncertain(fault()), NOW)
        assert reserved_now(db, batch_id) == read_batch(db, batch_id).reserved_milli

        desk.cancel(db, DEFAULT_PROJECT, job_id, NOW)
        assert reserved_now(db, batch_id) == read_batch(db, batch_id).reserved_milli


def test_a_new_budget_counts_what_is_let_in_at_the_same_moment(postgres_url: str) -> None:
    # Given rows that are let in, and not committed yet,
    database = Database(postgres_url)
    with database.transaction() as db:
        batch_id, _ = open_wanted(db, replace(WANTED, budget_milli=9 * PRICE))

    def change_budget() -> None:
        with database.transaction() as db:
            batches.change(db, DEFAULT_PROJECT, batch_id, NOW, budget_milli=8 * PRICE)

    # When the budget is changed meanwhile,
    with ThreadPoolExecutor(1) as threads:
        with database.transaction() as db:
            submit(db, ROWS, NOW, project_id=DEFAULT_PROJECT, batch_id=batch_id)
            changed = threads.submit(change_budget)
            wait_until(lambda: is_waited_for(database), "the change waits for the rows")
        changed.result()

    # Then they have their place in it.
    with database.reading() as db:
        assert read_batch(db, batch_id).budget_milli == 8 * PRICE
        assert read_batch(db, batch_id).reserved_milli == len(ROWS) * PRICE
    database.close()


def test_a_new_priority_keeps_what_is_told_of_the_batch_at_the_same_moment(
    postgres_url: str,
) -> None:
    # Given rows that are counted, and not committed yet,
    database = Database(postgres_url)
    with database.transaction() as db:
        batch_id, _ = open_wanted(db, replace(WANTED, about={"defaults": {"priority": 0}}))
    drafts = [draft(job, NOW, DEFAULT_PROJECT, batch_id) for job in ROWS]

    def change_priority() -> None:
        with database.transaction() as db:
            batches.change(db, DEFAULT_PROJECT, batch_id, NOW, priority=5)

    # When the priority is changed meanwhile,
    with ThreadPoolExecutor(1) as threads:
        with database.transaction() as db:
            ingest.add_rows(db, DEFAULT_PROJECT, batch_id, drafts, NOW)
            changed = threads.submit(change_priority)
            wait_until(lambda: is_waited_for(database), "the change waits for the rows")
        changed.result()

    # Then both are there.
    with database.reading() as db:
        about = read_batch(db, batch_id).about
        assert about == {"defaults": {"priority": 5}, "credits_milli": len(ROWS) * PRICE}
    database.close()


def is_waited_for(database: Database) -> bool:
    """Whether anybody waits for a lock in this Postgres database."""
    waiting = text(
        "SELECT 1 FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with database.reading() as db:
        return db.execute(waiting).first() is not None


def test_a_batch_is_paused_and_goes_on(database: Database) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db)
        job_id = make_job(db, batch_id=batch_id, row=0)

        batches.pause(db, DEFAULT_PROJECT, batch_id, NOW)
        assert leases.claim_due(db, NOW, limit=1, lease=LEASE) == []

        batches.pause(db, DEFAULT_PROJECT, batch_id, None)
        assert leases.claim_due(db, NOW, limit=1, lease=LEASE) == [job_id]
