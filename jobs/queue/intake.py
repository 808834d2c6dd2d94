"""Letting jobs in: rows and their first events, many at once."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from jobs.catalog.loader import operation as find_operation
from jobs.catalog.operation import Operation
from jobs.catalog.ties import tie_faults
from jobs.errors import Conflict
from jobs.inserts import insert_rows
from jobs.models import new_id
from jobs.queue.moves import BATCH, JOB, reserve_budget
from jobs.queue.needs import jobs_in, succeeded_of, write_needs
from jobs.settings import OnUncertain
from jobs.states import JobState

#: Stability: seeds are below this; 0 or none means that the API draws one.
SEEDS = 4_294_967_294

#: The database copies what it was told of the jobs themselves.
FIRST_EVENTS = """
INSERT INTO event
    (job_id, project_id, batch_id, at, verb, target, charged_milli, note, tallied)
SELECT id, project_id, batch_id, created_at, 'submitted', state, 0, held_for, false
FROM new ORDER BY id
"""

BUDGET_ERROR = {
    "code": "budget_exhausted",
    "message": "The budget has no room for this job; raise it, or wait until others give theirs "
    "back.",
    "class": "billing",
    "retryable": True,
    "charged": "no",
}


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """A checked job that is about to be let in."""

    operation: str
    params: dict[str, Any]
    inputs: dict[str, str] = field(default_factory=dict)
    labels: dict[str, Any] = field(default_factory=dict)
    row: int | None = None
    name: str | None = None
    priority: int = 0
    on_uncertain: OnUncertain = "retry"
    expires_at: datetime | None = None
    #: Not to be started before.
    run_at: datetime | None = None
    #: Jobs that must have succeeded before; those whose outputs are inputs need not be named.
    depends_on: tuple[str, ...] = ()
    #: Who else is to be told of it.
    webhook_url: str | None = None
    #: Chosen beforehand by whoever ties jobs to each other.
    id: str | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """All jobs that it waits for, each once."""
        return tuple(dict.fromkeys((*self.depends_on, *jobs_in(self.inputs))))


@dataclass(frozen=True)
class Draft:
    """A job, and the row to insert for it, as far as it differs from any other new job's."""

    job: NewJob
    row: dict[str, Any]


def submit(
    db: Connection,
    jobs: Sequence[NewJob],
    now: datetime,
    *,
    project_id: str,
    batch_id: str | None = None,
    is_waiting: bool = False,
) -> list[str]:
    """Draft jobs and let them in as `admit` does; returns the ids of those that are new."""
    drafts = [draft(job, now, project_id, batch_id) for job in jobs]
    rows = admit(db, drafts, now, batch_id=batch_id, is_waiting=is_waiting)
    return [row["id"] for row in rows]


def admit(
    db: Connection,
    drafts: Sequence[Draft],
    now: datetime,
    *,
    batch_id: str | None = None,
    is_waiting: bool = False,
) -> list[dict[str, Any]]:
    """Insert jobs, queued and due at once; a batch's row that is there already is left alone.

    With `is_waiting` they wait until their batch is started, and for what they need in any case.
    Jobs for which the batch's budget has no room are let in as held. Returns the rows of the jobs
    that are new; raises Conflict once the batch is canceled.
    """
    rows = [draft.row for draft in drafts]
    needs = {draft.row["id"]: needs for draft in drafts if (needs := draft.job.needs)}
    succeeded = succeeded_of(db, {needed for some in needs.values() for needed in some})
    for row in rows:
        if is_waiting or not succeeded.issuperset(needs.get(row["id"], ())):
            row |= {"state": JobState.WAITING, "due_at": None}
    if batch_id is not None:
        _lock_open(db, batch_id)
        rows = _without_known(db, rows, batch_id)
        if not reserve_budget(db, batch_id, sum(row["estimated_milli"] for row in rows)):
            _hold_beyond_budget(db, rows, batch_id)
    if not rows:
        return []
    insert_rows(db, JOB, rows, then=FIRST_EVENTS)
    let_in = {row["id"] for row in rows}
    write_needs(db, {i: some for i, some in needs.items() if i in let_in}, succeeded, now)
    return rows


def priced(operation_name: str, params: dict[str, Any]) -> dict[str, Any]:
    """What of a job's row follows from its parameters."""
    operation = find_operation(operation_name)
    return {
        "params": params,
        "seed": choose_seed(operation, params),
        "estimated_milli": operation.price_of(params),
    }


def draft(job: NewJob, now: datetime, project_id: str, batch_id: str | None = None) -> Draft:
    """The row of a job that is queued and due at once, with its id, seed and price."""
    row = {
        "id": job.id or new_id(),
        "project_id": project_id,
        "batch_id": batch_id,
        "row": job.row,
        "name": job.name,
        "operation": job.operation,
        **priced(job.operation, job.params),
        "inputs": job.inputs,
        "labels": job.labels,
        "priority": job.priority,
        "on_uncertain": job.on_uncertain,
        "state": JobState.QUEUED,
        "held_for": None,
        "error": None,
        "due_at": job.run_at or now,
        "run_at": job.run_at,
        "expires_at": job.expires_at,
        "webhook_url": job.webhook_url,
        "created_at": now,
    }
    return Draft(job, row)


def choose_seed(operation: Operation, params: dict[str, Any]) -> int | None:
    """The caller's seed, or one of ours: a call that must be repeated then asks for the same.

    None where the operation, or one of its engines, refuses a seed.
    """
    if operation.parameter("seed") is None:
        return _seed_among(operation.sent(params))
    if seed := int(params.get("seed") or 0):
        return seed
    seed = random.randint(1, SEEDS)
    seeded = {**params, "seed": seed}
    is_refused = any(f.field == "seed" for f in tie_faults(operation, seeded, seeded.keys()))
    return None if is_refused else seed


def _seed_among(fields: Mapping[str, Any]) -> int | None:
    """The seed in fields of which the catalog knows nothing; what is no number may be no seed."""
    seed = fields.get("seed")
    return seed if isinstance(seed, int) and not isinstance(seed, bool) and seed else None


def _lock_open(db: Connection, batch_id: str) -> None:
    """Two that load one batch at once do it one after the other; raises Conflict if canceled."""
    locked = select(BATCH.c.name, BATCH.c.canceled_at).where(BATCH.c.id == batch_id)
    batch = db.execute(locked.with_for_update()).one()
    if batch.canceled_at is not None:
        raise Conflict(
            f"the batch {batch.name!r} is canceled and takes no more rows; "
            "under another --name all of them are started anew"
        )


def _without_known(
    db: Connection, rows: list[dict[str, Any]], batch_id: str
) -> list[dict[str, Any]]:
    numbers = [row["row"] for row in rows]
    known = set(
        db.execute(
            select(JOB.c.row).where(
                JOB.c.batch_id == batch_id, JOB.c.row.between(min(numbers), max(numbers))
            )
        ).scalars()
    )
    return [row for row in rows if row["row"] not in known]


def _hold_beyond_budget(db: Connection, rows: list[dict[str, Any]], batch_id: str) -> None:
    for row in rows:
        if not reserve_budget(db, batch_id, row["estimated_milli"]):
            row |= {
                "state": JobState.HELD,
                "held_for": "budget",
                "due_at": None,
                "error": BUDGET_ERROR,
            }
