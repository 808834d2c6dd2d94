"""Projects and their batches take turns, whatever the size of their queues."""

from collections import Counter

import pytest
from sqlalchemy import Connection, select

from jobs import batches, projects
from jobs.db import Database
from jobs.errors import Conflict
from jobs.models import DEFAULT_PROJECT
from jobs.queue import desk, leases
from jobs.queue.moves import JOB
from jobs.queue.starts import Turns
from jobs.states import JobState
from tests.factories import LEASE, NOW, make_batch, make_job, read_batch, read_job


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


def test_weights_share_the_claims_of_projects_and_of_batches(database: Database) -> None:
    # Given a project of weight three with a batch of weight two among its own, and another project,
    with database.transaction() as db:
        projects.set_terms(db, "heavy", NOW, weight=3)
        large = make_batch(db, project_id="heavy", weight=2)
        small = make_batch(db, project_id="heavy")
        for row in range(30):
            make_job(db, project_id="heavy", batch_id=large, row=row)
            make_job(db, project_id="heavy", batch_id=small, row=row)
            make_job(db, project_id="light")

        # When claims of any size have taken forty jobs,
        turns = Turns()
        claimed = [i for size in (1, 2, 13, 15, 9) for i in claim(db, size, turns)]

        # Then thirty of them are the heavy project's, twenty of these the heavy batch's.
        assert projects_of(db, claimed) == {"heavy": 30, "light": 10}
        assert batches_of(db, claimed)[large] == 20


def batches_of(db: Connection, ids: list[str]) -> Counter[str]:
    """How many of these jobs each batch has; single jobs under the empty name."""
    return Counter(db.execute(select(JOB.c.batch_key).where(JOB.c.id.in_(ids))).scalars())


def test_nine_small_projects_are_done_in_twice_the_claims_that_they_need_alone(
    database: Database,
) -> None:
    # Given ten jobs of each of nine projects behind a crowd of another one's,
    with database.transaction() as db:
        for _ in range(200):
            make_job(db, project_id="a-crowd")
        small = {make_job(db, project_id=f"p{n}") for n in range(9) for _ in range(10)}

        turns = Turns()
        claimed = [job_id for _ in range(12) for job_id in claim(db, 15, turns)]

        # Then they are through when ninety jobs, and not many of the crowd, were claimed.
        last = max(claimed.index(job_id) for job_id in small)
        assert last < 2 * len(small)


def test_a_cap_counts_what_is_leased_and_what_is_polled(database: Database) -> None:
    # Given a project that may have four jobs in flight: one is polled, one has a worker,
    with database.transaction() as db:
        projects.set_terms(db, "capped", NOW, max_in_flight=4)
        make_job(db, JobState.POLLING, project_id="capped", due_at=NOW + LEASE)
        make_job(db, JobState.SUBMITTING, project_id="capped")
        for _ in range(9):
            make_job(db, project_id="capped")
            make_job(db, project_id="free")

        # When much is claimed, in several claims,
        turns = Turns()
        claimed = claim(db, 6, turns) + claim(db, 6, turns)

        # Then it gets two more, and the others all the rest.
        assert projects_of(db, claimed) == {"capped": 2, "free": 9}


def test_a_batchs_cap_leaves_its_project_to_the_others(database: Database) -> None:
    with database.transaction() as db:
        capped, free = make_batch(db, max_in_flight=1), make_batch(db)
        for row in range(5):
            make_job(db, batch_id=capped, row=row)
            make_job(db, batch_id=free, row=row)

        claimed = claim(db, 8, Turns())

        assert batches_of(db, claimed) == {capped: 1, free: 5}


def test_a_cap_also_holds_for_what_was_moved_to_the_front(database: Database) -> None:
    with database.transaction() as db:
        capped = make_batch(db, max_in_flight=2, fronted_at=NOW)
        for row in range(5):
            make_job(db, batch_id=capped, row=row)

        assert len(claim(db, 5, Turns())) == 2


def test_what_was_moved_to_the_front_is_next_in_its_project(database: Database) -> None:
    # Given two projects, one with single jobs and three batches,
    with database.transaction() as db:
        earlier, moved, later = (make_batch(db) for _ in range(3))
        for row in range(3):
            for batch_id in (earlier, moved, later):
                make_job(db, batch_id=batch_id, row=row)
            make_job(db, project_id="another")
        single = make_job(db, due_at=NOW)

        # When a batch is moved to the front, and then a job,
        batches.front(db, DEFAULT_PROJECT, moved, NOW)
        desk.front(db, DEFAULT_PROJECT, single, NOW)

        # Then they are the project's next ones, and the other project has its turns all the same.
        turns = Turns()
        claimed = [job_id for _ in range(6) for job_id in claim(db, 1, turns)]
        assert projects_of(db, claimed) == {"another": 3, DEFAULT_PROJECT: 3}
        own = [i for i in claimed if read_job(db, i).project_id == DEFAULT_PROJECT]
        assert own[0] == single
        assert [read_job(db, i).batch_id for i in own[1:]] == [moved, moved]


def test_of_two_that_were_moved_to_the_front_the_latter_is_first(database: Database) -> None:
    with database.transaction() as db:
        jobs = [make_job(db) for _ in range(4)]
        desk.front(db, DEFAULT_PROJECT, jobs[1], NOW)
        desk.front(db, DEFAULT_PROJECT, jobs[3], NOW + LEASE)

        turns = Turns()
        assert [claim(db, 1, turns) for _ in range(3)] == [[jobs[3]], [jobs[1]], [jobs[0]]]


@pytest.mark.parametrize("state", sorted(set(JobState) - {JobState.QUEUED}))
def test_only_a_queued_job_is_moved_to_the_front(sqlite_url: str, state: JobState) -> None:
    database = Database(sqlite_url)
    with database.transaction() as db:
        job_id = make_job(db, state)

        with pytest.raises(Conflict, match="queued"):
            desk.front(db, DEFAULT_PROJECT, job_id, NOW)
    database.close()


def test_a_batch_of_which_nothing_is_left_is_not_in_front_any_more(database: Database) -> None:
    with database.transaction() as db:
        over, open_ = make_batch(db, fronted_at=NOW), make_batch(db, fronted_at=NOW)
        make_job(db, JobState.SUCCEEDED, batch_id=over, row=0)
        make_job(db, batch_id=open_, row=0)

        batches.forget_fronts(db)

        assert read_batch(db, over).fronted_at is None
        assert read_batch(db, open_).fronted_at == NOW
