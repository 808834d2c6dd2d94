"""Counters equal a recount at any moment, whatever is added up already."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from jobs import tallies
from jobs.db import Database
from jobs.models import DEFAULT_PROJECT, Event, Tally, table
from jobs.outcomes import Accepted
from jobs.queue.settling import settle
from jobs.states import JobState
from tests.factories import NOW, PRICE, make_batch, make_job, read_claim

EVENT = table(Event)
TALLY = table(Tally)


def test_a_count_is_the_same_before_and_after_adding_up(database: Database) -> None:
    with database.transaction() as db:
        for state in JobState:
            make_job(db, state)
        before = tallies.counts(db)

        assert tallies.fold(db) > 0

        assert before.by_state == Counter(JobState)
        assert tallies.counts(db) == before
        assert before.charged_milli == 4 * PRICE


def test_what_happens_after_adding_up_is_counted_too(database: Database) -> None:
    with database.transaction() as db:
        job_id = make_job(db, JobState.SUBMITTING)
        tallies.fold(db)

        settle(db, read_claim(db, job_id), Accepted("id", timedelta(0)), NOW)

        assert tallies.counts(db) == tallies.Counts({JobState.POLLING: 1}, PRICE)
        tallies.fold(db)
        assert tallies.counts(db) == tallies.Counts({JobState.POLLING: 1}, PRICE)


def test_batches_and_projects_are_counted_apart(database: Database) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db)
        make_job(db, JobState.SUCCEEDED, batch_id=batch_id, row=0)
        make_job(db)
        tallies.fold(db)
        make_job(db, project_id="another")

        assert tallies.counts(db).total == 3
        assert tallies.counts(db, project_id=DEFAULT_PROJECT).total == 2
        assert tallies.counts(db, batch_id=batch_id).by_state == {JobState.SUCCEEDED: 1}
        assert tallies.counts(db, project_id="another").by_state == {JobState.QUEUED: 1}


def test_no_event_is_added_up_twice(database: Database) -> None:
    with database.transaction() as db:
        make_job(db, JobState.SUCCEEDED)

        assert tallies.fold(db) == 4
        assert tallies.fold(db) == 0


def test_adding_up_takes_only_so_much_at_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tallies, "MOST_AT_ONCE", 3)
    with database.transaction() as db:
        for _ in range(5):
            make_job(db)

        assert [tallies.fold(db) for _ in range(3)] == [3, 2, 0]
        assert tallies.counts(db).by_state == {JobState.QUEUED: 5}


def test_those_who_add_up_at_once_lose_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tallies, "MOST_AT_ONCE", 7)
    with database.transaction() as db:
        for _ in range(10):
            make_job(db, JobState.SUCCEEDED)
        events = db.execute(select(func.count()).select_from(EVENT)).scalar_one()

    def fold_all(_: int) -> int:
        folded = 0
        while True:
            with database.transaction() as db:
                step = tallies.fold(db)
            if not step:
                return folded
            folded += step

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(fold_all, range(4))) == events

    with database.reading() as db:
        totals = {row.state: row.jobs for row in db.execute(select(TALLY)) if row.jobs}
        assert totals == {JobState.SUCCEEDED: 10}
