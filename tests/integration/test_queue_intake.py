"""Letting jobs in: what is there afterwards, and what a budget lets in."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select

from jobs.db import Database
from jobs.history import events_of
from jobs.models import DEFAULT_PROJECT
from jobs.queue.intake import submit
from jobs.queue.moves import EVENT, JOB
from jobs.states import JobState
from tests.factories import NOW, PRICE, make_batch, new_job, read_batch, read_job

THREADS = 20


def test_a_new_job_is_queued_due_and_has_a_first_event(database: Database) -> None:
    with database.transaction() as db:
        (job_id,) = submit(db, [new_job(priority=3)], NOW, project_id=DEFAULT_PROJECT)

    with database.reading() as db:
        job, (event,) = read_job(db, job_id), events_of(db, job_id)
    assert (job.state, job.due_at, job.priority) == (JobState.QUEUED, NOW, 3)
    assert (job.estimated_milli, job.charged_milli, job.attempts) == (PRICE, 0, 0)
    assert job.seed > 0
    assert (event.verb, event.origin, event.target) == ("submitted", None, JobState.QUEUED)


def test_a_job_and_its_first_event_come_together_or_not_at_all(database: Database) -> None:
    def submit_and_die() -> None:
        with database.transaction() as db:
            submit(db, [new_job()], NOW, project_id=DEFAULT_PROJECT)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        submit_and_die()

    with database.reading() as db:
        assert db.execute(select(JOB)).all() == []
        assert db.execute(select(EVENT)).all() == []


def test_rows_that_are_there_already_are_left_alone(database: Database) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db, budget_milli=10 * PRICE)
        rows = [new_job(row=number) for number in range(3)]
        first = submit(db, rows[:2], NOW, project_id=DEFAULT_PROJECT, batch_id=batch_id)
        again = submit(
            db, rows, NOW + timedelta(hours=1), project_id=DEFAULT_PROJECT, batch_id=batch_id
        )

        assert len(first) == 2
        assert len(again) == 1
        assert not set(first) & set(again)
        assert read_job(db, first[0]).created_at == NOW
        assert read_batch(db, batch_id).reserved_milli == 3 * PRICE


def test_jobs_beyond_the_budget_are_held(database: Database) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db, budget_milli=2 * PRICE + PRICE // 2)
        rows = [new_job(row=number) for number in range(4)]
        ids = submit(db, rows, NOW, project_id=DEFAULT_PROJECT, batch_id=batch_id)

        jobs = [read_job(db, job_id) for job_id in ids]
        assert [job.state for job in jobs] == ["queued", "queued", "held", "held"]
        assert {job.held_for for job in jobs[2:]} == {"budget"}
        assert {job.error["code"] for job in jobs[2:]} == {"budget_exhausted"}
        assert read_batch(db, batch_id).reserved_milli == 2 * PRICE


def test_many_at_once_reserve_exactly_what_the_budget_has(database: Database) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db, budget_milli=7 * PRICE)

    def let_in(row: int) -> None:
        with database.transaction() as db:
            submit(db, [new_job(row=row)], NOW, project_id=DEFAULT_PROJECT, batch_id=batch_id)

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(let_in, range(THREADS)))

    with database.reading() as db:
        states = list(db.execute(select(JOB.c.state)).scalars())
        assert states.count(JobState.QUEUED) == 7
        assert states.count(JobState.HELD) == THREADS - 7
        assert read_batch(db, batch_id).reserved_milli == 7 * PRICE
