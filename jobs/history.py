"""Questions about jobs: one, many, their outputs and their story. Nothing is changed here."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from jobs.errors import NotFound
from jobs.models import Attempt, Event, Job, Output, table
from jobs.states import JobState

JOB = table(Job)
EVENT = table(Event)
ATTEMPT = table(Attempt)
OUTPUT = table(Output)

#: Jobs fetched at a time when a whole batch is walked through.
PAGE = 500
#: What is fetched of them: a large batch is walked through faster without the rest.
EXPORTED = JOB.c[
    "id",
    "row",
    "operation",
    "state",
    "name",
    "params",
    "inputs",
    "seed",
    "finish_reason",
    "charged_milli",
    "error",
    "labels",
]

#: Jobs of which a paid call lost its answer.
LOST = select(ATTEMPT.c.job_id).where(ATTEMPT.c.uncertain_at.is_not(None))


def get_job(db: Connection, project_id: str, job_id: str) -> Row[Any]:
    """One job; raises NotFound."""
    row = db.execute(
        select(JOB).where(JOB.c.id == job_id, JOB.c.project_id == project_id)
    ).one_or_none()
    if row is None:
        raise no_job(job_id)
    return row


def jobs_by_name(
    db: Connection, names: Collection[tuple[str, str]]
) -> dict[tuple[str, str], Row[Any]]:
    """Those of these jobs that there are, each by its project and id."""
    rows = db.execute(select(JOB).where(JOB.c.id.in_({job_id for _, job_id in names})))
    found = {(row.project_id, row.id): row for row in rows}
    return {name: found[name] for name in names if name in found}


def no_job(job_id: str) -> NotFound:
    """The error of who asks for a job that his project does not have."""
    return NotFound(f"there is no job {job_id}")


def list_jobs(
    db: Connection,
    project_id: str,
    *,
    states: Sequence[JobState] = (),
    held_for: str | None = None,
    batch_id: str | None = None,
    operation: str | None = None,
    is_lost: bool = False,
    before: str | None = None,
    limit: int = 50,
) -> list[Row[Any]]:
    """The newest jobs that fit; `before` is the last id of the page before.

    With `is_lost` those of which a paid call lost its answer, however they went on.
    """
    wanted = select(JOB).where(JOB.c.project_id == project_id)
    if states:
        wanted = wanted.where(JOB.c.state.in_(states))
    if held_for is not None:
        wanted = wanted.where(JOB.c.held_for == held_for)
    if batch_id is not None:
        wanted = wanted.where(JOB.c.batch_id == batch_id)
    if operation is not None:
        wanted = wanted.where(JOB.c.operation == operation)
    if is_lost:
        # Such calls are few, and have an index of their own.
        wanted = wanted.where(JOB.c.id.in_(LOST))
    if before is not None:
        wanted = wanted.where(JOB.c.id < before)
    return list(db.execute(wanted.order_by(JOB.c.id.desc()).limit(limit)))


def outputs_of(db: Connection, job_ids: Sequence[str]) -> dict[str, list[Row[Any]]]:
    """The outputs of these jobs, by job."""
    found: dict[str, list[Row[Any]]] = {}
    for row in db.execute(
        select(OUTPUT)
        .where(OUTPUT.c.job_id.in_(job_ids))
        .order_by(OUTPUT.c.job_id, OUTPUT.c.number)
    ):
        found.setdefault(row.job_id, []).append(row)
    return found


def events_of(db: Connection, job_id: str) -> list[Row[Any]]:
    """A job's story, from its beginning."""
    return list(db.execute(select(EVENT).where(EVENT.c.job_id == job_id).order_by(EVENT.c.id)))


def attempts_of(db: Connection, job_id: str) -> list[Row[Any]]:
    """A job's paid calls, the first one first."""
    return list(
        db.execute(select(ATTEMPT).where(ATTEMPT.c.job_id == job_id).order_by(ATTEMPT.c.number))
    )


def page_of_batch(
    db: Connection, batch_id: str, *, after: int
) -> list[tuple[Row[Any], list[Row[Any]]]]:
    """Some jobs behind a row of a batch, as they are exported, with their outputs, by row."""
    page = list(
        db.execute(
            select(*EXPORTED)
            .where(JOB.c.batch_id == batch_id, JOB.c.row > after)
            .order_by(JOB.c.row)
            .limit(PAGE)
        )
    )
    outputs = outputs_of(db, [row.id for row in page])
    return [(row, outputs.get(row.id, [])) for row in page]
