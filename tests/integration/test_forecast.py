"""Places in the queue, measured paces, and what follows from them."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, insert, update

from jobs import batches, paces, projects, tallies
from jobs.db import Database
from jobs.durations import Histogram
from jobs.forecast import DURATION, POLL_LATENESS, SYNC_TAIL, Forecaster
from jobs.lately import Lately
from jobs.models import DEFAULT_PROJECT
from jobs.public import batch_public
from jobs.queue import brakes, desk, leases, places
from jobs.queue.moves import JOB
from jobs.settings import read_settings
from jobs.states import JobState
from tests.factories import ATTEMPT, LEASE, NOW, make_batch, make_job, read_batch, read_job

S = JobState
SYNC = "generate/core"
HOUR = 3600.0


@pytest.fixture
def forecaster(tmp_path: Path) -> Forecaster:
    return Forecaster(read_settings(_env_file=None, darkroom_home=tmp_path))


def ahead(db: Connection, job_id: str) -> int:
    return places.jobs_ahead(db, read_job(db, job_id), Lately(0))


def begin_some(db: Connection, ids: list[str], every: timedelta) -> None:
    """Let the calls of these jobs have been begun one after the other, until now."""
    for number, job_id in enumerate(ids, start=1):
        at = NOW - every * (len(ids) - number)
        db.execute(update(ATTEMPT).where(ATTEMPT.c.job_id == job_id).values(begun_at=at))


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_a_place_counts_what_comes_first_in_the_own_project(database: Database) -> None:
    with database.transaction() as db:
        first, second = make_job(db, due_at=at(-2)), make_job(db, due_at=at(-1))
        low = make_job(db, priority=-5)
        urgent = make_job(db, priority=5)
        for _ in range(3):
            make_job(db, project_id="another", priority=9)

        assert [ahead(db, job_id) for job_id in (urgent, first, second, low)] == [0, 1, 2, 3]

        desk.front(db, DEFAULT_PROJECT, second, NOW)
        assert [ahead(db, job_id) for job_id in (second, first)] == [1, 2]


def test_batches_beside_a_job_start_as_many_as_they_weigh_meanwhile(database: Database) -> None:
    with database.transaction() as db:
        own, heavy, short = make_batch(db), make_batch(db, weight=2), make_batch(db)
        jobs = [make_job(db, batch_id=own, row=row) for row in range(5)]
        for row in range(30):
            make_job(db, batch_id=heavy, row=row)
        make_job(db, batch_id=short, row=0)

        assert ahead(db, jobs[4]) == 4 + 8 + 1


def rows_of(db: Connection, batch_id: str, number: int) -> list[str]:
    """So many jobs of a batch, due one after the other."""
    return [make_job(db, batch_id=batch_id, row=row, due_at=at(row)) for row in range(number)]


def is_told_its_place(db: Connection, ids: list[str]) -> None:
    """Claim all; each job was told before which one it would be."""
    told = {job_id: ahead(db, job_id) for job_id in ids}
    claimed = leases.claim_due(db, at(HOUR), limit=len(ids), lease=LEASE)
    assert [told[job_id] for job_id in claimed] == list(range(len(ids)))


def test_batches_in_front_are_started_whole_and_the_last_one_moved_comes_first(
    database: Database,
) -> None:
    with database.transaction() as db:
        plain, first, second = (make_batch(db) for _ in range(3))
        ids = [job_id for batch_id in (plain, first, second) for job_id in rows_of(db, batch_id, 4)]
        batches.front(db, DEFAULT_PROJECT, first, at(1))
        batches.front(db, DEFAULT_PROJECT, second, at(2))

        is_told_its_place(db, ids)


def test_jobs_in_front_are_counted_once(database: Database) -> None:
    with database.transaction() as db:
        in_front, plain = make_batch(db), make_batch(db)
        moved, others = rows_of(db, in_front, 6), rows_of(db, plain, 6)
        batches.front(db, DEFAULT_PROJECT, in_front, at(1))
        for moment, job_id in enumerate([others[1], moved[2], others[3]]):
            desk.front(db, DEFAULT_PROJECT, job_id, at(moment))

        is_told_its_place(db, [*moved, *others])


def test_a_paused_batch_in_front_is_before_nobody(database: Database) -> None:
    with database.transaction() as db:
        paused, going = make_batch(db, paused_at=NOW), make_batch(db)
        rows_of(db, paused, 3)
        batches.front(db, DEFAULT_PROJECT, paused, NOW)

        is_told_its_place(db, rows_of(db, going, 3))


def test_far_behind_the_rows_tell_the_place(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "MOST_COUNTED", 3)
    with database.transaction() as db:
        batch_id = make_batch(db)
        jobs = [make_job(db, batch_id=batch_id, row=row) for row in range(9)]
        single = [make_job(db, project_id="singles", due_at=at(n)) for n in range(9)]
        while tallies.fold(db):
            pass

        assert ahead(db, jobs[8]) == 8
        assert ahead(db, single[4]) == pytest.approx(4, abs=1)


def test_a_pace_is_what_was_begun_in_the_last_minute(database: Database) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db)
        own = [make_job(db, S.SUCCEEDED, batch_id=batch_id, row=row) for row in range(20)]
        other = [make_job(db, S.SUCCEEDED) for _ in range(20)]
        begin_some(db, own, timedelta(seconds=1))
        begin_some(db, other, timedelta(minutes=2))

        found = paces.measure(db, NOW)

        pace = found.of(DEFAULT_PROJECT, batch_id)
        assert pace is not None
        assert pace.per_second(NOW) == pytest.approx(1, rel=0.1)
        whole = found.of(DEFAULT_PROJECT)
        assert whole is not None
        assert whole.calls == 21
        assert found.of("another") is None


def test_a_jobs_end_follows_from_its_place_and_the_projects_pace(
    database: Database, forecaster: Forecaster
) -> None:
    with database.transaction() as db:
        done = [make_job(db, S.SUCCEEDED) for _ in range(30)]
        begin_some(db, done, timedelta(seconds=0.5))
        jobs = [make_job(db, operation=SYNC) for _ in range(10)]

        found = forecaster.job(db, read_job(db, jobs[9]), NOW)

        assert found.position == 10
        assert found.eta is not None
        seconds = (found.eta - NOW).total_seconds()
        assert seconds == pytest.approx(10 / 2 + SYNC_TAIL, abs=1)


def test_one_look_at_the_queue_tells_the_places_of_many(
    database: Database, forecaster: Forecaster
) -> None:
    asked: list[str] = []
    with database.transaction() as db:
        batch_id = make_batch(db)
        jobs = [read_job(db, make_job(db, batch_id=batch_id, row=row)) for row in range(5)]
        single = read_job(db, make_job(db))
        forecaster.job(db, single, NOW)
        forecaster.job(db, jobs[4], NOW)
        event.listen(db, "before_cursor_execute", lambda *args: asked.append(args[2]))

        found = [forecaster.job(db, job, NOW).position for job in jobs]

        # Behind the first of them the single job takes its turn.
        assert (found, asked) == ([1, 3, 4, 5, 6], [])


def test_whoever_changes_the_order_sees_it_at_once(
    database: Database, forecaster: Forecaster
) -> None:
    with database.transaction() as db:
        first, second = make_job(db, due_at=at(-2)), make_job(db, due_at=at(-1))
        assert forecaster.job(db, read_job(db, second), NOW).position == 2

        desk.front(db, DEFAULT_PROJECT, second, NOW)
        forecaster.forget()

        places = [forecaster.job(db, read_job(db, job), NOW).position for job in (second, first)]
        assert places == [1, 2]


def test_nobody_knows_when_what_is_paused_will_end(
    database: Database, forecaster: Forecaster
) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db, size=1)
        job_id = make_job(db, batch_id=batch_id, row=0)
        brakes.pause_project(db, DEFAULT_PROJECT, NOW)

        job = forecaster.job(db, read_job(db, job_id), NOW)
        counts = tallies.counts(db, batch_id=batch_id)
        batch = forecaster.batch(db, read_batch(db, batch_id), counts, NOW)

        assert (job.position, job.eta) == (1, None)
        assert (batch.left, batch.paused_by) == (None, ("project",))


def test_a_job_that_is_not_due_has_no_place_but_an_end(
    database: Database, forecaster: Forecaster
) -> None:
    with database.transaction() as db:
        job_id = make_job(db, operation=SYNC, due_at=at(3600))

        found = forecaster.job(db, read_job(db, job_id), NOW)

        assert (found.position, found.eta) == (None, at(3600 + SYNC_TAIL))


def test_a_batch_of_which_all_is_polled_takes_as_long_as_such_jobs_do(
    database: Database, forecaster: Forecaster
) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db)
        for row in range(2):
            make_job(db, S.POLLING, batch_id=batch_id, row=row, accepted_at=at(-10))
        learned = Histogram((0.0,) * 40 + (9.0,)).as_row()
        row = {"operation": "upscale/creative", "histogram": learned, "updated_at": NOW}
        db.execute(insert(DURATION), row)

        counts = tallies.counts(db, batch_id=batch_id)
        found = forecaster.batch(db, read_batch(db, batch_id), counts, NOW)

        assert found.left is not None
        assert found.left.total_seconds() == pytest.approx(31 + POLL_LATENESS, abs=1)


def test_a_batchs_end_follows_from_its_own_pace(database: Database, forecaster: Forecaster) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db, loaded_at=NOW)
        done = [make_job(db, S.SUCCEEDED, batch_id=batch_id, row=row) for row in range(20)]
        begin_some(db, done, timedelta(seconds=1))
        for row in range(100, 140):
            make_job(db, batch_id=batch_id, row=row)

        counts = tallies.counts(db, batch_id=batch_id)
        found = forecaster.batch(db, read_batch(db, batch_id), counts, NOW)

        assert found.rate == pytest.approx(1, rel=0.1)
        assert found.left is not None
        assert found.left.total_seconds() == pytest.approx(40, rel=0.1)


def test_nobody_knows_when_a_batch_ends_of_which_some_is_held(
    database: Database, forecaster: Forecaster
) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db, loaded_at=NOW)
        make_job(db, S.SUBMITTING, batch_id=batch_id, row=0)
        make_job(db, S.HELD, batch_id=batch_id, row=1, held_for="budget")

        counts, batch = tallies.counts(db, batch_id=batch_id), read_batch(db, batch_id)
        found = forecaster.batch(db, batch, counts, NOW)
        shown = batch_public(batch, counts, forecast=found)

        # What is not held will have ended by then.
        assert found.left == timedelta(seconds=SYNC_TAIL)
        assert (shown["eta"], shown["eta_seconds"]) == (None, None)


def test_who_has_begun_nothing_yet_may_expect_an_equal_share(
    database: Database, forecaster: Forecaster
) -> None:
    with database.transaction() as db:
        for number in range(3):
            projects.set_terms(db, f"p{number}", NOW)
            last = [make_job(db, operation=SYNC, project_id=f"p{number}") for _ in range(10)][-1]

        found = forecaster.job(db, read_job(db, last), NOW)

        # 15 requests a second among three projects: ten jobs take two seconds.
        assert found.eta is not None
        assert (found.eta - NOW).total_seconds() == pytest.approx(2 + SYNC_TAIL, abs=0.1)


def test_a_batch_that_moves_to_the_front_is_the_next(database: Database) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db)
        job_id = make_job(db, batch_id=batch_id, row=0)
        for _ in range(3):
            make_job(db, due_at=at(-9))
        batches.front(db, DEFAULT_PROJECT, batch_id, NOW)
        db.execute(update(JOB).where(JOB.c.id == job_id).values(due_at=NOW))

        assert ahead(db, job_id) == 0
