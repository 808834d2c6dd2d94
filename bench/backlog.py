"""A backlog of any size, made faster than producers could: rows with their first events."""

from sqlalchemy import insert

from jobs.db import Database, ensure
from jobs.models import Batch, Event, Job, Project, new_id, table
from jobs.states import JobState

ROWS_AT_ONCE = 5000
PROJECT = table(Project)
BATCH = table(Batch)
JOB = table(Job)
EVENT = table(Event)


def fill(database: Database, jobs: int, *, project_id: str, batch_id: str | None = None) -> None:
    """Queue so many jobs of a project, due at once; a batch is made for them where it is named."""
    now = database.now()
    with database.transaction() as db:
        ensure(db, PROJECT, {"id": project_id, "created_at": now})
        if batch_id is not None:
            row = {"id": batch_id, "project_id": project_id, "name": batch_id, "fingerprint": ""}
            more = {"on_uncertain": "retry", "size": jobs, "created_at": now, "loaded_at": now}
            ensure(db, BATCH, row | more)
    for start in range(0, jobs, ROWS_AT_ONCE):
        numbers = range(start, min(jobs, start + ROWS_AT_ONCE))
        common = {"project_id": project_id, "batch_id": batch_id}
        rows = [
            {
                **common,
                "id": new_id(),
                "row": number if batch_id is not None else None,
                "operation": "generate/core",
                "params": {"prompt": f"hare {number}"},
                "on_uncertain": "retry",
                "state": JobState.QUEUED,
                "due_at": now,
                "estimated_milli": 3000,
                "created_at": now,
            }
            for number in numbers
        ]
        first = {"at": now, "verb": "submitted", "target": JobState.QUEUED}
        with database.transaction() as db:
            db.execute(insert(JOB), rows)
            db.execute(insert(EVENT), [{**common, **first, "job_id": row["id"]} for row in rows])
