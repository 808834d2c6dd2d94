"""Schedules fire once for each time, whoever looks and whoever dies."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from jobs.db import Database
from jobs.models import DEFAULT_PROJECT
from jobs.queue.moves import BATCH, JOB
from jobs.schedules import firing, store
from jobs.schedules.firing import Overlap
from jobs.schedules.plan import BatchPlan, Plan
from jobs.states import JobState
from tests.factories import NOW, PRICE, new_job
from workers.maintenance.scheduler import run_due_schedules

#: NOW is 03:04:05.
FIRST = NOW.replace(minute=5, second=0)
MINUTE = timedelta(minutes=1)
ONE = Plan([new_job()])
TWO = Plan([new_job(row=row) for row in range(2)], BatchPlan(on_uncertain="hold"))


def made(database: Database, plan: Plan = ONE, **changes: Any) -> str:
    wanted = store.NewSchedule(
        **{
            "name": "minutely",
            "cron": "* * * * *",
            "timezone": "UTC",
            "overlap": Overlap.SKIP,
            "template": {},
            "plan": plan.as_json(),
            **changes,
        }
    )
    with database.transaction() as db:
        return store.create(db, wanted, NOW, project_id=DEFAULT_PROJECT)


def fire(database: Database, schedule_id: str, now: datetime) -> bool:
    with database.transaction() as db:
        return firing.fire(db, schedule_id, now)


def runs(database: Database, schedule_id: str) -> list[Any]:
    with database.reading() as db:
        return list(store.last_runs(db, schedule_id))


def jobs(database: Database) -> int:
    with database.reading() as db:
        return db.execute(select(func.count()).select_from(JOB)).scalar_one()


def next_run(database: Database, schedule_id: str) -> datetime | None:
    with database.reading() as db:
        found: datetime | None = store.find(db, DEFAULT_PROJECT, schedule_id).next_run_at
    return found


def change(database: Database, schedule_id: str, now: datetime, **changes: Any) -> None:
    with database.transaction() as db:
        store.change(db, DEFAULT_PROJECT, schedule_id, changes, now)


def end_all(database: Database) -> None:
    ended = {"state": JobState.SUCCEEDED, "finished_at": NOW, "due_at": None}
    with database.transaction() as db:
        db.execute(update(JOB).values(ended))


def test_nothing_is_run_before_its_time(database: Database) -> None:
    schedule_id = made(database)

    assert next_run(database, schedule_id) == FIRST
    assert not fire(database, schedule_id, FIRST - timedelta(seconds=1))
    assert jobs(database) == 0


def test_a_time_is_run_once_and_the_next_one_follows(database: Database) -> None:
    schedule_id = made(database)

    assert fire(database, schedule_id, FIRST)
    assert not fire(database, schedule_id, FIRST)

    (run,) = runs(database, schedule_id)
    assert (run.due_at, run.cause, jobs(database)) == (FIRST, "clock", 1)
    assert run.job_id is not None
    assert next_run(database, schedule_id) == FIRST + MINUTE


def test_a_batch_of_a_schedule_is_started_with_all_its_jobs(database: Database) -> None:
    schedule_id = made(database, TWO)

    fire(database, schedule_id, FIRST)

    (run,) = runs(database, schedule_id)
    with database.reading() as db:
        batch = db.execute(select(BATCH).where(BATCH.c.id == run.batch_id)).one()
        found = db.execute(select(JOB).where(JOB.c.batch_id == run.batch_id)).all()
    assert (batch.size, batch.on_uncertain, batch.loaded_at) == (2, "hold", FIRST)
    assert batch.about["credits_milli"] == 2 * PRICE
    assert [job.state for job in found] == [JobState.QUEUED, JobState.QUEUED]


def test_many_beats_at_once_run_a_time_once(database: Database) -> None:
    schedule_id = made(database)

    with ThreadPoolExecutor(8) as threads:
        fired = list(threads.map(lambda _: fire(database, schedule_id, FIRST), range(16)))

    assert sum(fired) == 1
    assert jobs(database) == 1


def test_a_beat_that_dies_while_it_runs_a_time_leaves_it_to_the_next(database: Database) -> None:
    schedule_id = made(database)

    def fire_and_die() -> None:
        with database.transaction() as db:
            firing.fire(db, schedule_id, FIRST)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fire_and_die()
    assert (jobs(database), runs(database, schedule_id)) == (0, [])

    assert fire(database, schedule_id, FIRST)
    assert jobs(database) == 1


def test_a_time_that_is_in_the_books_is_not_run_again_though_it_seems_due(
    database: Database,
) -> None:
    schedule_id = made(database)
    fire(database, schedule_id, FIRST)
    with database.transaction() as db:
        db.execute(update(store.SCHEDULE).values(next_run_at=FIRST))

    assert not fire(database, schedule_id, FIRST)
    assert (jobs(database), next_run(database, schedule_id)) == (1, FIRST + MINUTE)


def test_of_all_times_that_were_missed_one_is_made_up_for(database: Database) -> None:
    schedule_id = made(database)
    back = FIRST + timedelta(hours=5, seconds=30)

    assert fire(database, schedule_id, back)
    assert not fire(database, schedule_id, back)

    (run,) = runs(database, schedule_id)
    assert (run.cause, run.due_at, run.fired_at) == ("catch_up", FIRST, back)
    assert next_run(database, schedule_id) == FIRST + timedelta(hours=5, minutes=1)


def test_a_run_is_left_out_and_told_while_the_last_one_is_open(database: Database) -> None:
    schedule_id = made(database, TWO)
    fire(database, schedule_id, FIRST)

    fire(database, schedule_id, FIRST + MINUTE)
    end_all(database)
    fire(database, schedule_id, FIRST + 2 * MINUTE)

    third, second, first = runs(database, schedule_id)
    assert [first.batch_id is None, second.batch_id is None] == [False, True]
    assert "03:05:00" in second.skipped_because
    assert third.batch_id is not None
    assert jobs(database) == 4


def test_a_run_queues_up_behind_the_last_one_if_it_is_told_so(database: Database) -> None:
    schedule_id = made(database, overlap=Overlap.QUEUE)
    fire(database, schedule_id, FIRST)

    fire(database, schedule_id, FIRST + MINUTE)

    assert jobs(database) == 2


def test_a_run_replaces_what_was_not_sent_of_the_last_one(database: Database) -> None:
    schedule_id = made(database, overlap=Overlap.REPLACE)
    fire(database, schedule_id, FIRST)

    fire(database, schedule_id, FIRST + MINUTE)

    with database.reading() as db:
        states = list(db.execute(select(JOB.c.state).order_by(JOB.c.id)).scalars())
    assert states == [JobState.CANCELED, JobState.QUEUED]


def test_a_run_replaces_the_batch_of_the_last_one(database: Database) -> None:
    schedule_id = made(database, TWO, overlap=Overlap.REPLACE)
    fire(database, schedule_id, FIRST)

    fire(database, schedule_id, FIRST + MINUTE)

    second, first = runs(database, schedule_id)
    with database.reading() as db:
        canceled = select(BATCH.c.canceled_at).where(BATCH.c.id == first.batch_id)
        assert db.execute(canceled).scalar_one() == FIRST + MINUTE
    assert second.batch_id is not None


def test_a_pause_is_not_made_up_for(database: Database) -> None:
    schedule_id = made(database)
    change(database, schedule_id, NOW, paused_at=NOW)
    assert next_run(database, schedule_id) is None
    assert not fire(database, schedule_id, FIRST + MINUTE)

    resumed = FIRST + timedelta(hours=1, seconds=1)
    change(database, schedule_id, resumed, paused_at=None)

    assert next_run(database, schedule_id) == FIRST + timedelta(hours=1, minutes=1)
    assert runs(database, schedule_id) == []


@pytest.mark.parametrize(
    "changes",
    [{"name": "other"}, {"plan": TWO.as_json()}, {"paused_at": None}, {"cron": "* * * * *"}],
)
def test_a_run_that_is_due_stays_so_whatever_else_is_changed(
    database: Database, changes: dict[str, Any]
) -> None:
    schedule_id, late = made(database), FIRST + timedelta(hours=1)

    change(database, schedule_id, late, **changes)

    assert next_run(database, schedule_id) == FIRST
    assert fire(database, schedule_id, late)


def test_other_times_count_from_the_change(database: Database) -> None:
    schedule_id, late = made(database), FIRST + timedelta(hours=1)

    change(database, schedule_id, late, cron="30 * * * *")

    assert next_run(database, schedule_id) == late.replace(minute=30)


def test_a_schedule_that_is_over_has_no_next_time(database: Database) -> None:
    schedule_id = made(database, end_at=FIRST)

    fire(database, schedule_id, FIRST)

    assert next_run(database, schedule_id) is None


def test_a_schedule_that_cannot_be_run_tells_why_and_keeps_no_other_waiting(
    database: Database,
) -> None:
    broken = made(database, Plan([new_job(operation="generate/gone")]))
    whole = made(database, cron="6 * * * *")

    ran = run_due_schedules(database)

    (left_out,), (run,) = runs(database, broken), runs(database, whole)
    assert (ran, jobs(database)) == (1, 1)
    assert run.job_id is not None
    assert left_out.due_at == FIRST
    assert "'generate/gone' is not a known operation" in left_out.skipped_because
    # And its next time comes.
    next_at = next_run(database, broken)
    assert next_at is not None
    assert timedelta(0) < next_at - left_out.fired_at <= MINUTE


def test_a_schedule_whose_time_zone_is_not_known_here_is_tried_again_later(
    database: Database,
) -> None:
    lasting, ending = made(database), made(database, end_at=FIRST)
    with database.transaction() as db:
        db.execute(update(store.SCHEDULE).values(timezone="Mars/Base"))

    ran = run_due_schedules(database)

    (run,) = runs(database, lasting)
    assert (ran, jobs(database)) == (0, 0)
    assert run.skipped_because == "it could not be run: ZoneInfoNotFoundError"
    assert next_run(database, lasting) == run.fired_at + firing.BLIND
    assert next_run(database, ending) is None


def test_a_time_that_another_beat_has_run_is_not_left_out(database: Database) -> None:
    schedule_id = made(database)
    fire(database, schedule_id, FIRST)

    with database.transaction() as db:
        firing.leave_out(db, schedule_id, FIRST, "it could not be run")

    (run,) = runs(database, schedule_id)
    assert run.skipped_because is None
    assert next_run(database, schedule_id) == FIRST + MINUTE
