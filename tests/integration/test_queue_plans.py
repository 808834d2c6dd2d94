"""The dispatcher's and the rescuer's questions read small indexes, not the whole table."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, event, select, text

from jobs import figures, tallies
from jobs.credentials import CHEAPEST
from jobs.db import Database
from jobs.lately import Lately
from jobs.queue import bulk, deadlines, leases, places, waking
from jobs.queue.bulk import Bulk
from jobs.queue.moves import JOB
from jobs.search import Question, find_jobs
from jobs.states import JobState
from tests.factories import LEASE, NOW, make_batch, make_job

FINISHED = 300


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    with opened.transaction() as db:
        for _ in range(FINISHED):
            make_job(db, JobState.SUCCEEDED)
        make_job(db)
        make_job(db, JobState.POLLING)
        make_job(db, JobState.SUBMITTING)
        db.execute(text("ANALYZE"))
    yield opened
    opened.close()


def plans(database: Database, ask: Callable[[Connection], Any]) -> str:
    """The plans of all that is asked of the jobs' table."""
    asked: list[tuple[str, Any]] = []

    def listen(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if re.match(r"SELECT", statement):
            asked.append((statement, parameters))

    with database.transaction() as db:
        if not database.is_sqlite:
            # So few rows are read faster without any index, and sorted at once; a million are not.
            for way in ("seqscan", "bitmapscan", "sort"):
                db.execute(text(f"SET LOCAL enable_{way} = off"))
        event.listen(database.engine, "before_cursor_execute", listen)
        try:
            ask(db)
        finally:
            event.remove(database.engine, "before_cursor_execute", listen)
        explain = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "
        return "\n".join(
            str(tuple(row))
            for statement, parameters in asked
            for row in db.exec_driver_sql(explain + statement, parameters)
        )


def test_a_claim_reads_the_indexes_of_due_jobs(database: Database) -> None:
    plan = plans(database, lambda db: leases.claim_due(db, NOW, limit=5, lease=LEASE))

    assert "job_to_go_on" in plan
    assert "job_to_start" in plan
    assert "SCAN job\n" not in plan
    assert "Seq Scan on job " not in plan


def test_a_claim_sorts_nothing(database: Database) -> None:
    plan = plans(database, lambda db: leases.claim_due(db, NOW, limit=5, lease=LEASE))

    assert "TEMP B-TREE" not in plan
    assert "Sort" not in plan


def test_a_place_in_the_queue_reads_the_index_of_due_jobs(database: Database) -> None:
    with database.reading() as db:
        queued = db.execute(select(JOB).where(JOB.c.state == JobState.QUEUED)).one()

    plan = plans(database, lambda db: places.jobs_ahead(db, queued, Lately(0)))

    assert "job_to_start" in plan
    assert "SCAN job\n" not in plan
    assert "Seq Scan on job " not in plan


def test_the_counts_of_a_batch_read_only_the_events_that_are_not_added_up(
    database: Database,
) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db)
        while tallies.fold(db):
            pass
        db.execute(text("ANALYZE"))

    plan = plans(database, lambda db: tallies.counts(db, batch_id=batch_id))

    assert "event_untallied" in plan
    assert "SCAN event\n" not in plan
    assert "Seq Scan on event " not in plan


def test_the_uncertain_calls_of_a_batch_do_not_read_its_jobs(database: Database) -> None:
    plan = plans(database, lambda db: figures.losses(db, "a batch"))

    assert "attempt_uncertain" in plan
    assert "job_by_batch" not in plan


def test_the_cheapest_job_that_waits_is_found_among_those_that_wait(database: Database) -> None:
    plan = plans(database, lambda db: db.execute(select(CHEAPEST)))

    assert "job_to_start" in plan
    assert "job_held" in plan
    assert "SCAN job\n" not in plan
    assert "Seq Scan on job " not in plan


def test_what_is_late_is_found_by_its_deadline(database: Database) -> None:
    plan = plans(database, lambda db: deadlines.expire_unstarted(db, NOW))

    assert "job_expiring" in plan
    assert "Seq Scan on job " not in plan


@pytest.mark.parametrize("verb", Bulk)
def test_a_piece_of_a_verb_for_a_batch_reads_only_its_jobs_in_order(
    database: Database, verb: Bulk
) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db)
        bulk.begin(db, batch_id, verb, NOW)

    plan = plans(database, lambda db: bulk.go_on(db, batch_id, NOW))

    assert "job_by_batch" in plan
    assert "TEMP B-TREE" not in plan
    assert "Seq Scan on job " not in plan


def test_the_jobs_of_a_batch_are_listed_in_order_by_an_index(database: Database) -> None:
    question = Question(batch_id="b")

    plan = plans(database, lambda db: find_jobs(db, "p", question, cursor="c", limit=5))

    assert "job_by_batch" in plan
    assert "TEMP B-TREE" not in plan
    assert "Sort" not in plan


def test_a_rescue_reads_the_index_of_leases(database: Database) -> None:
    plan = plans(database, lambda db: leases.rescue(db, NOW))

    assert "job_leased" in plan
    assert "Seq Scan on job " not in plan


def test_the_waker_reads_the_index_of_awaited_jobs(database: Database) -> None:
    plan = plans(database, waking.is_called)

    assert "job_awaited" in plan
    assert "SCAN job\n" not in plan
    assert "Seq Scan on job " not in plan
