"""One job from outside: its inputs are looked up and kept, then it is let in, once."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection

from jobs.catalog.loader import operation as find_operation
from jobs.dependencies import dependencies_of, dependency_faults
from jobs.errors import Fault
from jobs.idempotency import submit_once
from jobs.inputs import Needed, unmet_needs
from jobs.queue.intake import NewJob, submit
from jobs.references import parse


def needs_of(job: NewJob, *, within: str = "") -> list[Needed]:
    """What a job needs, each with the place in the body that names it."""
    operation = find_operation(job.operation)
    return [
        Needed(f"{within}inputs.{name}", operation, name, reference)
        for name, text in job.inputs.items()
        if (reference := parse(text)) is not None
    ]


def asset_faults(db: Connection, project_id: str, job: NewJob) -> list[Fault]:
    """What is wrong with the assets and outputs that one job needs."""
    named = dependencies_of(job)
    return unmet_needs(db, project_id, needs_of(job)) + dependency_faults(db, project_id, named)


def faults_by_job(
    db: Connection, project_id: str, jobs: Sequence[NewJob]
) -> Mapping[int, list[Fault]]:
    """The same for many jobs with one question; by their places in the sequence."""
    tied = [(i, job) for i, job in enumerate(jobs) if job.inputs or job.depends_on]
    needed = [need for i, job in tied for need in needs_of(job, within=f"{i}:")]
    named = [one for i, job in tied for one in dependencies_of(job, within=f"{i}:")]
    faults = unmet_needs(db, project_id, needed) + dependency_faults(db, project_id, named)
    found: dict[int, list[Fault]] = {}
    for fault in faults:
        number, _, field = fault.field.partition(":")
        mended = Fault(field=field, code=fault.code, message=fault.message)
        found.setdefault(int(number), []).append(mended)
    return found


def let_in(
    db: Connection,
    job: NewJob,
    now: datetime,
    *,
    project_id: str,
    key: str | None,
    fingerprint: str,
) -> tuple[str, bool]:
    """The job's id, and whether it is new; raises OtherBody."""
    if key is None:
        (job_id,) = submit(db, [job], now, project_id=project_id)
        return job_id, True
    return submit_once(db, job, now, project_id=project_id, key=key, fingerprint=fingerprint)
