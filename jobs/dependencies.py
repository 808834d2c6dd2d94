"""The jobs that a new job names in `depends_on`: whether they are there, and may still succeed."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from jobs.errors import Fault
from jobs.models import Job, table
from jobs.queue.intake import NewJob
from jobs.states import FINAL, JobState

JOB = table(Job)


@dataclass(frozen=True)
class Dependency:
    """A job by its id, and the place in the body that names it."""

    field: str
    job_id: str


def dependencies_of(job: NewJob, *, within: str = "") -> list[Dependency]:
    """What a job names."""
    return [
        Dependency(f"{within}depends_on[{place}]", job_id)
        for place, job_id in enumerate(job.depends_on)
    ]


def dependency_faults(db: Connection, project_id: str, named: Sequence[Dependency]) -> list[Fault]:
    """Which of these the project does not have, or have ended without success.

    One that ends so in this very moment is no fault: the job is skipped.
    """
    ids = {one.job_id for one in named}
    if not ids:
        return []
    rows = db.execute(
        select(JOB.c.id, JOB.c.state).where(JOB.c.project_id == project_id, JOB.c.id.in_(ids))
    )
    states = {row.id: JobState(row.state) for row in rows}
    faults = []
    for one in named:
        state = states.get(one.job_id)
        if state is None:
            message = f"there is no job {one.job_id} in this project"
            faults.append(Fault(field=one.field, code="unknown_job", message=message))
        elif state in FINAL and state != JobState.SUCCEEDED:
            message = f"the job {one.job_id} ended as {state}: retry it first"
            faults.append(Fault(field=one.field, code="not_succeeded", message=message))
    return faults
