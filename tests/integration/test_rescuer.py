"""Whose jobs are taken back: those of the dead, and of who could have renewed a lease."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Row, select, update

from jobs.db import Database
from jobs.identity import owner_name
from jobs.models import ABANDONED, DISPATCHED
from jobs.queue.moves import JOB
from jobs.states import JobState
from tests.factories import LEASE, NOW, make_job, read_job
from tests.faults.process import Process, python
from tests.servers import wait_until
from workers.maintenance.rescuer import Rescuer

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
STRANGER = "elsewhere:00000000-1:1:1"
#: So long a busy machine may need between the look of a beat and the renewal of a worker.
SHORT = timedelta(seconds=5)


class Hands:
    """The database's clock, set by a test."""

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> datetime:
        return self.time


@pytest.fixture
def clock(database: Database) -> Hands:
    hands = Hands()
    database._clock = hands
    return hands


@pytest.fixture
def rescuer(database: Database, clock: Hands) -> Rescuer:
    """One that has looked every second for a lease."""
    made = Rescuer(database, lease=LEASE, poll_gap=SECOND)
    made.look()
    look_on(made, clock, LEASE)
    return made


def look_on(rescuer: Rescuer, clock: Hands, duration: timedelta) -> int:
    """Look once a second for so long; the number of jobs that were rescued."""
    rescued = 0
    for _ in range(duration // SECOND):
        clock.time += SECOND
        rescued += rescuer.look()
    return rescued


def lose(database: Database, owner: str = STRANGER, *, ended: timedelta = SECOND) -> str:
    """A job whose lease ended a while ago; its id."""
    with database.transaction() as db:
        until = database.now() - ended
        return make_job(db, JobState.SUBMITTING, lease_owner=owner, lease_until=until)


def read(database: Database, job_id: str) -> Row[tuple[object, ...]]:
    with database.reading() as db:
        return read_job(db, job_id)


def test_a_lease_that_ended_under_watch_is_taken_back_at_once(
    rescuer: Rescuer, database: Database
) -> None:
    lose(database)

    assert rescuer.look() == 1


@pytest.mark.parametrize("pause", ["start", "standstill", "outage", "clock set back"])
def test_after_a_pause_owners_get_a_lease_to_renew(
    rescuer: Rescuer, database: Database, clock: Hands, pause: str
) -> None:
    # Given leases that ended while nobody could renew them,
    if pause == "start":
        rescuer = Rescuer(database, lease=LEASE, poll_gap=SECOND)
    elif pause == "outage":
        rescuer.pause()
    else:
        clock.time += HOUR if pause == "standstill" else -HOUR
    renewed, lost = lose(database), lose(database)

    # when one of them is renewed a while later,
    clock.time += SECOND
    assert rescuer.look() == 0
    with database.transaction() as db:
        values = {"lease_until": clock.time + HOUR}
        db.execute(update(JOB).where(JOB.c.id == renewed).values(values))

    # then the other one is taken back after a lease, and not before.
    assert look_on(rescuer, clock, LEASE - SECOND) == 0
    assert look_on(rescuer, clock, SECOND) == 1
    assert read(database, lost).lease_owner is None


def test_a_pause_keeps_nothing_back_that_nobody_renews(database: Database, clock: Hands) -> None:
    # Given the leases of a message, of a failed step, and of a process that is gone,
    mine = owner_name()
    dead = f"{mine.rsplit(':', 1)[0]}:1"
    for owner in (DISPATCHED, ABANDONED, dead, mine):
        lose(database, owner)

    # when a rescuer looks for the first time, then only the living one's stays.
    assert Rescuer(database, lease=LEASE, poll_gap=SECOND).look() == 3
    with database.reading() as db:
        held = select(JOB.c.lease_owner).where(JOB.c.lease_owner.is_not(None))
        assert db.execute(held).scalars().all() == [mine]


def test_who_stood_still_together_with_the_beat_keeps_what_it_has(
    database: Database, redis_url: str, tmp_path: Path
) -> None:
    environment = {
        "DATABASE_URL": database.engine.url.render_as_string(hide_password=False),
        "REDIS_URL": redis_url,
        "DARKROOM_HOME": str(tmp_path),
        "DARKROOM_LEASE_SECONDS": str(SHORT.total_seconds()),
    }
    with database.transaction() as db:
        job_id = make_job(db)
    with (
        program("keeper", "tests.integration.keeper", folder=tmp_path, **environment) as worker,
        program("beat", "jobs", "beat", folder=tmp_path, **environment) as beat,
    ):
        # Given a worker that keeps a lease, and a beat that looks after it,
        wait_until(lambda: read(database, job_id).lease_owner is not None, "the job is taken")
        taken = read(database, job_id)
        wait_for_a_look(database)

        # when both are stopped for longer than a lease, and the beat is the first to go on,
        worker.freeze()
        beat.freeze()
        over = database.now() + SHORT
        wait_until(lambda: database.now() > over, "the lease is over")
        beat.thaw()
        wait_for_a_look(database)

        # then the worker still has the job, and goes on to keep it
        found = read(database, job_id)
        assert (found.lease_owner, found.fence) == (taken.lease_owner, taken.fence)
        assert found.lease_until < database.now()
        worker.thaw()
        wait_until(lambda: read(database, job_id).lease_until > database.now(), "it is renewed")

        # until it dies, which is noticed at once.
        worker.kill()
        wait_until(lambda: read(database, job_id).fence > taken.fence, "it is taken back")


def wait_for_a_look(database: Database) -> None:
    """Wait until the beat takes back what it always takes back."""
    job_id = lose(database, ABANDONED)
    wait_until(lambda: read(database, job_id).lease_owner != ABANDONED, "the beat has looked")


@contextmanager
def program(name: str, *module: str, folder: Path, **environment: str) -> Iterator[Process]:
    """One that is ended whatever state it is in."""
    made = Process(name, python("-m", *module), folder=folder, environment=environment)
    made.start()
    try:
        yield made
    finally:
        made.kill()
