"""Projects and their batches take turns, whatever the size of their queues."""

from collections import Counter
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, select

from jobs.db import Database
from jobs.queue import leases
from jobs.queue.lanes import Turns
from jobs.queue.moves import JOB
from tests.factories import LEASE, NOW, make_batch, make_job


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    yield opened
    opened.close()


def projects_of(db: Connection, ids: list[str]) -> Counter[str]:
    """How many of these jobs each project has."""
    return Counter(db.execute(select(JOB.c.project_id).where(JOB.c.id.in_(ids))).scalars())


def claim(db: Connection, limit: int, turns: Turns) -> list[str]:
    return leases.claim_due(db, NOW, limit=limit, lease=LEASE, turns=turns)


def test_a_small_project_is_not_behind_a_large_one(database: Database) -> None:
    # Given a project with forty jobs, and one that comes later with three,
    with database.transaction() as db:
        for _ in range(40):
            make_job(db, project_id="large")
        for _ in range(3):
            make_job(db, project_id="small")

        # When a few are claimed, one at a time as they are under a tight rate,
        turns = Turns()
        claimed = [job_id for _ in range(6) for job_id in claim(db, 1, turns)]

        # Then they take turns.
        assert projects_of(db, claimed) == {"large": 3, "small": 3}


def test_a_project_does_not_gain_by_splitting_its_work_into_batches(database: Database) -> None:
    # Given one project with five batches and one with a single one,
    with database.transaction() as db:
        for number in range(5):
            batch_id = make_batch(db, project_id="many", name=f"batch {number}")
            for row in range(4):
                make_job(db, project_id="many", batch_id=batch_id, row=row)
        for _ in range(10):
            make_job(db, project_id="one")

        turns = Turns()
        claimed = [job_id for _ in range(10) for job_id in claim(db, 1, turns)]

        assert projects_of(db, claimed) == {"many": 5, "one": 5}
        batches = db.execute(
            select(JOB.c.batch_id).where(JOB.c.id.in_(claimed), JOB.c.project_id == "many")
        ).scalars()
        assert len(set(batches)) == 5


def test_a_higher_priority_goes_before_every_turn(database: Database) -> None:
    with database.transaction() as db:
        for _ in range(9):
            make_job(db, project_id="patient")
        urgent = make_job(db, project_id="urgent", priority=5)

        assert claim(db, 1, Turns()) == [urgent]


def test_no_lane_starves_in_large_claims(database: Database) -> None:
    # Given thirty lanes of two jobs each and one of a hundred,
    with database.transaction() as db:
        for number in range(30):
            for _ in range(2):
                make_job(db, project_id=f"p{number:02}")
        for _ in range(100):
            make_job(db, project_id="a-large-one")

        # When claims are large,
        turns = Turns()
        first = projects_of(db, claim(db, 40, turns) + claim(db, 40, turns))

        # Then every lane has had its turn, and everything is claimed in the end.
        assert len(first) >= 15
        rest = [job_id for _ in range(3) for job_id in claim(db, 100, turns)]
        assert sum(first.values()) + len(rest) == 160
