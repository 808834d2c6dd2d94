"""Jobs that wait for others: they start when all they need has succeeded, or are skipped."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from sqlalchemy import select, update

from jobs.db import Database
from jobs.errors import Conflict
from jobs.history import events_of
from jobs.models import DEFAULT_PROJECT
from jobs.outcomes import Stored
from jobs.queue import desk, waking
from jobs.queue.intake import submit
from jobs.queue.moves import BATCH, JOB
from jobs.queue.settling import settle
from jobs.queue.starting import release_started
from jobs.states import JobState
from tests.factories import (
    NOW,
    PRICE,
    make_batch,
    make_job,
    new_job,
    read_batch,
    read_claim,
    read_job,
    stored_output,
)
from workers.maintenance.waker import wake_waiting_jobs

S = JobState
HOUR = timedelta(hours=1)
ENDS = [S.FAILED, S.CANCELED, S.SKIPPED, S.FILTERED]


def let_in(database: Database, *needs: str, **changes: object) -> str:
    with database.transaction() as db:
        job = new_job(depends_on=needs, **changes)
        (job_id,) = submit(db, [job], NOW, project_id=DEFAULT_PROJECT)
    return job_id


def made(database: Database, state: JobState = S.QUEUED) -> str:
    with database.transaction() as db:
        return make_job(db, state)


def end(database: Database, job_id: str, state: JobState) -> None:
    """Bring a job to its end, whichever way it came there."""
    with database.transaction() as db:
        ended = {"state": state, "finished_at": NOW, "due_at": None}
        db.execute(update(JOB).where(JOB.c.id == job_id).values(ended))


def state_of(database: Database, job_id: str) -> str:
    with database.reading() as db:
        return str(read_job(db, job_id).state)


def test_a_job_waits_for_all_that_it_needs(database: Database) -> None:
    first, second = made(database), made(database)
    job_id = let_in(database, first, second)

    wake_waiting_jobs(database)
    assert state_of(database, job_id) == S.WAITING
    end(database, first, S.SUCCEEDED)
    wake_waiting_jobs(database)
    assert state_of(database, job_id) == S.WAITING
    end(database, second, S.SUCCEEDED)
    wake_waiting_jobs(database)

    assert state_of(database, job_id) == S.QUEUED
    with database.reading() as db:
        verbs = [event.verb for event in events_of(db, job_id)]
        assert read_job(db, job_id).due_at is not None
    assert verbs == ["submitted", "ready"]


def test_an_output_that_is_an_input_is_needed_as_well(database: Database) -> None:
    needed = made(database)

    job_id = let_in(
        database, operation="upscale/fast", params={}, inputs={"image": f"job:{needed}#0"}
    )

    assert state_of(database, job_id) == S.WAITING


def test_a_job_that_needs_only_what_has_succeeded_is_queued_at_once(database: Database) -> None:
    job_id = let_in(database, made(database, S.SUCCEEDED))

    assert state_of(database, job_id) == S.QUEUED


@pytest.mark.parametrize("fate", ENDS)
def test_a_job_is_skipped_when_one_that_it_needs_ends_otherwise(
    database: Database, fate: JobState
) -> None:
    needed, other = made(database), made(database)
    job_id = let_in(database, needed, other)
    wake_waiting_jobs(database)

    end(database, needed, fate)
    wake_waiting_jobs(database)

    with database.reading() as db:
        job = read_job(db, job_id)
    assert (job.state, job.error["code"], job.error["charged"]) == (
        S.SKIPPED,
        "dependency_failed",
        "no",
    )
    assert needed in job.error["message"]
    assert job.finished_at is not None


def test_the_whole_chain_is_skipped(database: Database) -> None:
    first = made(database)
    second = let_in(database, first)
    third = let_in(database, second)

    end(database, first, S.FAILED)
    wake_waiting_jobs(database)
    wake_waiting_jobs(database)

    assert [state_of(database, i) for i in (second, third)] == [S.SKIPPED, S.SKIPPED]
    with database.reading() as db:
        assert second in read_job(db, third).error["message"]


def test_the_end_of_a_job_that_nobody_needs_leaves_nothing_to_look_at(database: Database) -> None:
    end(database, made(database), S.SUCCEEDED)

    with database.reading() as db:
        assert not waking.is_called(db)


def test_a_look_leaves_nothing_to_look_at(database: Database) -> None:
    needed = made(database)
    let_in(database, needed)
    wake_waiting_jobs(database)
    end(database, needed, S.SUCCEEDED)
    wake_waiting_jobs(database)

    with database.reading() as db:
        assert not waking.is_called(db)
        assert read_job(db, needed).awaited_at is None


def test_a_look_that_is_cut_off_is_done_again(database: Database) -> None:
    needed = made(database)
    job_id = let_in(database, needed)
    end(database, needed, S.SUCCEEDED)

    def look_and_die() -> None:
        with database.transaction() as db:
            assert waking.look(db, NOW).started == 1
            raise RuntimeError

    with pytest.raises(RuntimeError):
        look_and_die()
    assert state_of(database, job_id) == S.WAITING
    wake_waiting_jobs(database)

    assert state_of(database, job_id) == S.QUEUED


def test_many_dependants_are_told_a_piece_at_a_time(database: Database) -> None:
    needed = made(database)
    with database.transaction() as db:
        rows = [new_job(depends_on=(needed,)) for _ in range(25)]
        submit(db, rows, NOW, project_id=DEFAULT_PROJECT)
    end(database, needed, S.SUCCEEDED)

    started = []
    for _ in range(4):
        with database.transaction() as db:
            started.append(waking.look(db, NOW, limit=10).started)

    assert started == [10, 10, 5, 0]
    with database.reading() as db:
        assert not waking.is_called(db)


def test_a_job_with_a_date_waits_for_that_too(database: Database) -> None:
    needed = made(database)
    job_id = let_in(database, needed, run_at=NOW + HOUR)

    end(database, needed, S.SUCCEEDED)
    wake_waiting_jobs(database)

    with database.reading() as db:
        assert read_job(db, job_id).due_at == NOW + HOUR


def in_batch(database: Database, batch_id: str, *needs: str, **changes: object) -> str:
    with database.transaction() as db:
        (job_id,) = submit(
            db,
            [new_job(row=0, depends_on=needs, **changes)],
            NOW,
            project_id=DEFAULT_PROJECT,
            batch_id=batch_id,
            is_waiting=True,
        )
    return job_id


def start(database: Database, batch_id: str) -> None:
    with database.transaction() as db:
        db.execute(update(BATCH).where(BATCH.c.id == batch_id).values(loaded_at=NOW))
    with database.transaction() as db:
        release_started(db, batch_id, NOW, limit=10)


def batch_of(database: Database, **columns: object) -> str:
    with database.transaction() as db:
        return make_batch(db, **columns)


def test_a_batchs_row_waits_for_its_start_though_what_it_needs_has_succeeded(
    database: Database,
) -> None:
    needed, batch_id = made(database), batch_of(database)
    job_id = in_batch(database, batch_id, needed)

    end(database, needed, S.SUCCEEDED)
    wake_waiting_jobs(database)
    assert state_of(database, job_id) == S.WAITING
    start(database, batch_id)

    assert state_of(database, job_id) == S.QUEUED


def test_a_batchs_row_with_a_date_waits_for_it_after_the_start(database: Database) -> None:
    batch_id = batch_of(database)
    job_id = in_batch(database, batch_id, run_at=NOW + HOUR)

    start(database, batch_id)

    with database.reading() as db:
        assert read_job(db, job_id).due_at == NOW + HOUR


def test_a_batchs_row_waits_for_what_it_needs_though_its_batch_is_started(
    database: Database,
) -> None:
    needed, batch_id = made(database), batch_of(database)
    job_id = in_batch(database, batch_id, needed)

    start(database, batch_id)
    wake_waiting_jobs(database)
    assert state_of(database, job_id) == S.WAITING
    end(database, needed, S.SUCCEEDED)
    wake_waiting_jobs(database)

    assert state_of(database, job_id) == S.QUEUED


def test_a_row_that_is_skipped_gives_its_part_of_the_budget_back(database: Database) -> None:
    needed, batch_id = made(database), batch_of(database, budget_milli=PRICE, loaded_at=NOW)
    in_batch(database, batch_id, needed)

    end(database, needed, S.FAILED)
    wake_waiting_jobs(database)

    with database.reading() as db:
        assert read_batch(db, batch_id).reserved_milli == 0


def test_a_row_beyond_the_budget_is_skipped_without_giving_anything_back(
    database: Database,
) -> None:
    needed, batch_id = made(database), batch_of(database, budget_milli=1, loaded_at=NOW)
    job_id = in_batch(database, batch_id, needed)
    assert state_of(database, job_id) == S.HELD

    end(database, needed, S.FAILED)
    wake_waiting_jobs(database)

    assert state_of(database, job_id) == S.SKIPPED
    with database.reading() as db:
        assert read_batch(db, batch_id).reserved_milli == 0


def test_a_held_row_that_gets_its_budget_waits_for_what_it_needs(database: Database) -> None:
    needed, batch_id = made(database), batch_of(database, budget_milli=1, loaded_at=NOW)
    job_id = in_batch(database, batch_id, needed)
    wake_waiting_jobs(database)

    with database.transaction() as db:
        db.execute(update(BATCH).where(BATCH.c.id == batch_id).values(budget_milli=PRICE))
        desk.release_budgeted(db, NOW)
    assert state_of(database, job_id) == S.WAITING
    end(database, needed, S.SUCCEEDED)
    wake_waiting_jobs(database)

    assert state_of(database, job_id) == S.QUEUED


def retry(database: Database, job_id: str) -> None:
    with database.transaction() as db:
        desk.retry(db, DEFAULT_PROJECT, job_id, NOW)


def test_a_skipped_job_that_is_retried_waits_for_the_retry_of_what_it_needs(
    database: Database,
) -> None:
    needed = made(database)
    job_id = let_in(database, needed)
    end(database, needed, S.FAILED)
    wake_waiting_jobs(database)

    with pytest.raises(Conflict, match=needed):
        retry(database, job_id)
    retry(database, needed)
    retry(database, job_id)
    assert state_of(database, job_id) == S.WAITING
    wake_waiting_jobs(database)
    end(database, needed, S.SUCCEEDED)
    wake_waiting_jobs(database)

    assert state_of(database, job_id) == S.QUEUED


def test_a_canceled_job_stays_so_whatever_it_needed_comes_to(database: Database) -> None:
    needed = made(database)
    job_id = let_in(database, needed)
    with database.transaction() as db:
        desk.cancel(db, DEFAULT_PROJECT, job_id, NOW)

    end(database, needed, S.SUCCEEDED)
    wake_waiting_jobs(database)

    assert state_of(database, job_id) == S.CANCELED
    with database.reading() as db:
        assert not waking.is_called(db)


def finish_as_a_worker_does(database: Database, job_id: str) -> None:
    with database.transaction() as db:
        assert settle(db, read_claim(db, job_id), Stored((stored_output(),)), NOW)


ROUNDS = 8


def test_no_dependant_is_forgotten_that_comes_while_the_needed_job_ends(
    database: Database,
) -> None:
    for _ in range(ROUNDS):
        needed = made(database, S.STORING)
        gate = Barrier(4)

        def dependant(needed: str = needed, gate: Barrier = gate) -> str:
            gate.wait()
            return let_in(database, needed)

        def worker(needed: str = needed, gate: Barrier = gate) -> None:
            gate.wait()
            finish_as_a_worker_does(database, needed)

        def waker(gate: Barrier = gate) -> None:
            gate.wait()
            for _ in range(5):
                wake_waiting_jobs(database)

        with ThreadPoolExecutor(4) as threads:
            ends = [threads.submit(worker), threads.submit(waker)]
            dependants = [threads.submit(dependant), threads.submit(dependant)]
            ids = [one.result() for one in dependants]
            for one in ends:
                one.result()
        wake_waiting_jobs(database)

        assert {state_of(database, job_id) for job_id in ids} == {S.QUEUED}


def test_two_wakers_at_once_forget_nobody_and_tell_nobody_twice(database: Database) -> None:
    for _ in range(ROUNDS):
        needed = [made(database) for _ in range(4)]
        ids = [let_in(database, *needed) for _ in range(10)]
        for one in needed:
            end(database, one, S.SUCCEEDED)

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda _: wake_waiting_jobs(database), range(4)))
        wake_waiting_jobs(database)

        assert {state_of(database, job_id) for job_id in ids} == {S.QUEUED}
        with database.reading() as db:
            assert [e.verb for i in ids for e in events_of(db, i)] == ["submitted", "ready"] * 10


def test_a_start_and_a_waker_at_once_leave_no_row_behind(database: Database) -> None:
    for _ in range(ROUNDS):
        needed, batch_id = made(database), batch_of(database)
        job_id = in_batch(database, batch_id, needed)
        end(database, needed, S.SUCCEEDED)

        with ThreadPoolExecutor(2) as threads:
            works = [
                threads.submit(wake_waiting_jobs, database),
                threads.submit(start, database, batch_id),
            ]
            for work in works:
                work.result()

        assert state_of(database, job_id) == S.QUEUED


def test_two_looks_at_two_ends_do_not_leave_the_job_to_each_other(postgres_url: str) -> None:
    database = Database(postgres_url)
    first, second = made(database), made(database)
    job_id = let_in(database, first, second)
    wake_waiting_jobs(database)
    end(database, first, S.SUCCEEDED)
    end(database, second, S.SUCCEEDED)

    with database.transaction() as one:
        with database.transaction() as somebody:
            somebody.execute(select(JOB.c.id).where(JOB.c.id == first).with_for_update())
            waking.look(one, NOW)
        with database.transaction() as other:
            waking.look(other, NOW)
    wake_waiting_jobs(database)

    assert state_of(database, job_id) == S.QUEUED
    database.close()
