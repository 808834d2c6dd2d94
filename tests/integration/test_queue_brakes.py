"""Paused is what pays nothing new; what was paid goes on, and everybody is told why."""

from collections.abc import Callable, Iterator
from datetime import datetime

import pytest
from sqlalchemy import Connection, insert

from jobs import batches, credentials
from jobs.db import Database
from jobs.models import DEFAULT_PROJECT
from jobs.queue import attempts, brakes, leases
from jobs.states import JobState
from tests.factories import (
    CREDENTIAL,
    LEASE,
    NOW,
    OWNER,
    begin_next,
    make_batch,
    make_job,
    read_batch,
    take_due,
)

BATCH_ID = "0" * 26
Brake = Callable[[Connection, datetime | None], None]


def brake_all(db: Connection, at: datetime | None) -> None:
    if at is None:
        brakes.resume_all(db)
    else:
        brakes.pause_all(db, at)


def brake_project(db: Connection, at: datetime | None) -> None:
    if at is None:
        brakes.resume_project(db, DEFAULT_PROJECT)
    else:
        brakes.pause_project(db, DEFAULT_PROJECT, at)


def brake_batch(db: Connection, at: datetime | None) -> None:
    batches.pause(db, DEFAULT_PROJECT, BATCH_ID, at)


BRAKES: dict[str, Brake] = {"all": brake_all, "project": brake_project, "batch": brake_batch}


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    with opened.transaction() as db:
        make_batch(db, id=BATCH_ID)
    yield opened
    opened.close()


@pytest.fixture(params=BRAKES, ids=BRAKES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def claim(db: Connection) -> list[str]:
    return leases.claim_due(db, NOW, limit=9, lease=LEASE)


def test_what_is_paused_is_not_started_and_what_was_paid_goes_on(
    database: Database, name: str
) -> None:
    with database.transaction() as db:
        queued = make_job(db, batch_id=BATCH_ID, row=0)
        polled = make_job(db, JobState.POLLING, batch_id=BATCH_ID, row=1)
        BRAKES[name](db, NOW)
        BRAKES[name](db, NOW)

        assert claim(db) == [polled]

        BRAKES[name](db, None)
        assert claim(db) == [queued]


def test_what_was_sent_to_a_worker_before_the_pause_is_not_paid(
    database: Database, name: str
) -> None:
    with database.transaction() as db:
        make_job(db, batch_id=BATCH_ID, row=0)
        (taken,) = take_due(db)
        BRAKES[name](db, NOW)

        assert attempts.begin(db, taken, NOW, credential_id=CREDENTIAL, owner=OWNER) is None

        leases.give_back(db, taken, NOW)
        BRAKES[name](db, None)
        assert begin_next(db).id == taken.id


def test_everybody_is_told_what_is_in_the_way(database: Database, name: str) -> None:
    with database.transaction() as db:
        assert brakes.in_the_way(db, DEFAULT_PROJECT, read_batch(db, BATCH_ID)) == []

        BRAKES[name](db, NOW)

        assert brakes.in_the_way(db, DEFAULT_PROJECT, read_batch(db, BATCH_ID)) == [name]


def test_the_pause_of_a_project_leaves_the_others_alone(database: Database) -> None:
    with database.transaction() as db:
        make_job(db, project_id="paused")
        running = make_job(db, project_id="running")
        brakes.pause_project(db, "paused", NOW)

        assert claim(db) == [running]
        assert brakes.in_the_way(db, "running") == []


def test_nothing_is_paid_while_no_credential_may(database: Database) -> None:
    with database.transaction() as db:
        for number in range(2):
            row = {"id": f"key-{number}", "name": "", "created_at": NOW}
            db.execute(insert(brakes.CREDENTIAL), row)
        credentials.pause(db, "key-0", NOW)
        assert brakes.in_the_way(db, DEFAULT_PROJECT) == []

        credentials.stop(db, "key-1", "funds", NOW)
        assert brakes.in_the_way(db, DEFAULT_PROJECT) == ["credentials"]

        credentials.pause(db, "key-0", None)
        assert brakes.in_the_way(db, DEFAULT_PROJECT) == []
