"""Jobs that come at the same time share a transaction, and nothing else."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, event, func, select
from sqlalchemy.exc import OperationalError

from api.submissions import Submission, Submissions, Told
from jobs.db import Database, ensure
from jobs.errors import TooManyJobs
from jobs.idempotency import OtherBody
from jobs.limits import NO_LIMITS, Limits
from jobs.models import Event, Job, Project, table
from jobs.queue.intake import NewJob

JOB, EVENT = table(Job), table(Event)


def submission(
    prompt: str, project_id: str = "acme", limits: Limits = NO_LIMITS, key: str | None = None
) -> Submission:
    job = NewJob(operation="generate/core", params={"prompt": prompt})
    return Submission(
        project_id=project_id, job=job, limits=limits, key=key, fingerprint=prompt if key else ""
    )


def add(database: Database, *wanted: Submission) -> list[Any]:
    async def add_all() -> list[Any]:
        submissions = Submissions(database)
        adding = (submissions.add(one) for one in wanted)
        return await asyncio.gather(*adding, return_exceptions=True)

    return asyncio.run(add_all())


def stored(database: Database) -> dict[str, tuple[str, str]]:
    """The project and the prompt of each job that has its first event."""
    with database.reading() as db:
        rows = db.execute(select(JOB).join(EVENT, EVENT.c.job_id == JOB.c.id)).all()
    return {row.id: (row.project_id, row.params["prompt"]) for row in rows}


@contextmanager
def commits(database: Database) -> Iterator[list[None]]:
    noted: list[None] = []
    event.listen(database.engine, "commit", lambda _connection: noted.append(None))
    yield noted


def test_jobs_of_many_projects_share_a_commit(database: Database) -> None:
    wanted = [submission(f"hare {n}", project_id=f"project-{n % 3}") for n in range(30)]

    with commits(database) as noted:
        told: list[Told] = add(database, *wanted)

    assert len(noted) == 1
    assert stored(database) == {
        one.shown["id"]: (asked.project_id, asked.job.params["prompt"])
        for one, asked in zip(told, wanted, strict=True)
    }


def test_a_key_stands_for_one_job_also_among_neighbours(database: Database) -> None:
    first, again, other, foreign, plain = add(
        database,
        submission("hare", key="k"),
        submission("hare", key="k"),
        submission("fox", key="k"),
        submission("fox", key="k", project_id="other"),
        submission("plain"),
    )

    assert (first.is_new, again.is_new) == (True, False)
    assert again.shown["id"] == first.shown["id"]
    assert isinstance(other, OtherBody)
    assert set(stored(database)) == {one.shown["id"] for one in (first, foreign, plain)}


def test_who_has_too_many_jobs_costs_the_others_none(database: Database) -> None:
    limits = Limits(open_jobs=1)
    with database.transaction() as db:
        # There are no keys, and so no limits, without a project.
        ensure(db, table(Project), {"id": "full", "created_at": database.now()})

    told = add(
        database,
        submission("a"),
        *(submission("limited", project_id="full", limits=limits) for _ in range(3)),
        submission("b"),
    )

    assert sum(isinstance(one, TooManyJobs) for one in told) == 2
    assert sorted(stored(database).values()) == [
        ("acme", "a"),
        ("acme", "b"),
        ("full", "limited"),
    ]


def test_jobs_whose_commit_lost_its_answer_are_not_let_in_again(postgres_url: str) -> None:
    database = Database(postgres_url)

    def commit_and_break(connection: Connection) -> None:
        driver: Any = connection.connection.driver_connection
        driver.commit()
        driver.close()

    event.listen(database.engine, "commit", commit_and_break, once=True)

    told = add(database, *(submission(f"hare {n}") for n in range(20)))

    assert [type(error) for error in told] == [OperationalError] * 20
    assert len(stored(database)) == 20
    database.close()


def test_a_job_that_cannot_be_stored_costs_the_others_nothing(database: Database) -> None:
    (mine,) = add(database, submission("mine"))
    taken = NewJob(operation="generate/core", params={"prompt": "x"}, id=mine.shown["id"])

    first, spoiler, last = add(
        database,
        submission("first"),
        Submission(project_id="acme", job=taken, limits=NO_LIMITS),
        submission("last"),
    )

    assert isinstance(spoiler, Exception)
    assert set(stored(database)) == {one.shown["id"] for one in (mine, first, last)}
    with database.reading() as db:
        assert db.execute(select(func.count()).select_from(JOB)).scalar_one() == 3
