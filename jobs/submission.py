"""One job from outside: its inputs are looked up and kept, then it is let in, once."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection

from jobs.catalog.loader import operation as find_operation
from jobs.errors import Fault
from jobs.idempotency import submit_once
from jobs.queue.intake import NewJob, submit
from jobs.references import Needed, missing_assets


def needed_assets(job: NewJob, *, within: str = "") -> list[Needed]:
    """The assets that a job needs, each with the place in the body that names it."""
    operation = find_operation(job.operation)
    return [
        Needed(f"{within}inputs.{name}", operation, name, reference.removeprefix("asset:"))
        for name, reference in job.inputs.items()
    ]


def asset_faults(db: Connection, project_id: str, job: NewJob) -> list[Fault]:
    """What is wrong with the assets of one job."""
    return missing_assets(db, project_id, needed_assets(job))


def faults_by_job(
    db: Connection, project_id: str, jobs: Sequence[NewJob]
) -> Mapping[int, list[Fault]]:
    """The same for many jobs with one question; by their places in the sequence."""
    needed = [need for i, job in enumerate(jobs) for need in needed_assets(job, within=f"{i}:")]
    found: dict[int, list[Fault]] = {}
    for fault in missing_assets(db, project_id, needed):
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
