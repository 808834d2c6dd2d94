"""The guarded UPDATE by which a job changes its state, and the event that is written with it."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Self

from sqlalchemy import Connection, Row, case, insert, update

from jobs.models import Batch, Event, Job, Project, table
from jobs.states import FINAL, JobState, can_move

JOB = table(Job)
EVENT = table(Event)
BATCH = table(Batch)
PROJECT = table(Project)

#: Built once: SQLAlchemy compiles a statement that it has seen before in no time.
INSERT_EVENT = insert(EVENT)

#: States of jobs whose next step is a paid call, and what they may be held for without a reserve.
NOT_BEGUN = frozenset({JobState.WAITING, JobState.QUEUED, JobState.HELD})
WITHOUT_RESERVE = frozenset({"budget", "uncertain"})


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A job as its owner knows it; the fence tells whether the owner still is one."""

    id: str
    fence: int
    state: JobState
    project_id: str
    batch_id: str | None
    operation: str
    params: dict[str, Any]
    inputs: dict[str, str]
    priority: int
    on_uncertain: str
    attempts: int
    refusals: int
    resubmits: int
    crashes: int
    attempt_id: str | None
    attempt_number: int | None
    credential_id: str | None
    result_id: str | None
    accepted_at: datetime | None
    expires_at: datetime | None
    polls: int
    polled_at: datetime | None
    seed: int | None
    estimated_milli: int
    charged_milli: int

    @classmethod
    def of(cls, row: Row[*tuple[Any, ...]]) -> Self:
        """From a row with at least these columns."""
        values = {name: getattr(row, name) for name in CLAIM_FIELDS}
        values["state"] = JobState(values["state"])
        return cls(**values)


CLAIM_FIELDS = tuple(field.name for field in fields(Claim))
CLAIM_COLUMNS = tuple(JOB.c[name] for name in CLAIM_FIELDS)


def move(
    db: Connection,
    claim: Claim,
    target: JobState,
    now: datetime,
    *,
    verb: str | None,
    note: str | None = None,
    charged_milli: int = 0,
    release: bool = False,
    **changes: Any,
) -> bool:
    """Bring the job to `target`, unless somebody else owns it by now; tell whether it was done.

    The lease is given back unless `changes` says otherwise; `release` frees in the batch's budget
    what was set aside for one call. Without a `verb` nothing is told: the state stays as it was.
    """
    if claim.state != target and not can_move(claim.state, target):
        raise ValueError(f"{verb}: no way from {claim.state} to {target}")
    values: dict[str, Any] = {
        "state": target,
        "lease_owner": None,
        "lease_until": None,
        "charged_milli": JOB.c.charged_milli + charged_milli,
        **changes,
    }
    if target in FINAL:
        values |= {"finished_at": now, "due_at": None, "held_for": None}
    done = db.execute(
        update(JOB)
        .where(JOB.c.id == claim.id, JOB.c.state == claim.state, JOB.c.fence == claim.fence)
        .values(values)
    )
    if done.rowcount != 1:
        return False
    if verb is not None:
        write_event(db, claim, target, now, verb=verb, note=note, charged_milli=charged_milli)
    if release:
        release_budget(db, claim)
    return True


def write_event(
    db: Connection,
    claim: Claim,
    target: JobState,
    now: datetime,
    *,
    verb: str,
    note: str | None = None,
    charged_milli: int = 0,
) -> None:
    """One line of the job's history."""
    row = event_row(claim, target, now, verb=verb, note=note, charged_milli=charged_milli)
    db.execute(INSERT_EVENT, row)


def event_row(
    claim: Claim,
    target: JobState,
    now: datetime,
    *,
    verb: str,
    note: str | None,
    charged_milli: int,
) -> dict[str, Any]:
    """What the history says of one change."""
    return {
        "job_id": claim.id,
        "project_id": claim.project_id,
        "batch_id": claim.batch_id,
        "at": now,
        "verb": verb,
        "origin": claim.state,
        "target": target,
        "charged_milli": charged_milli,
        "note": note,
        "tallied": False,
    }


def reserve_budget(db: Connection, batch_id: str | None, milli: int) -> bool:
    """Set aside what one more paid call can cost; False where the batch's budget has no room."""
    if batch_id is None:
        return True
    unbounded = BATCH.c.budget_milli.is_(None)
    done = db.execute(
        update(BATCH)
        .where(
            BATCH.c.id == batch_id,
            unbounded | (BATCH.c.reserved_milli + milli <= BATCH.c.budget_milli),
        )
        .values(reserved_milli=BATCH.c.reserved_milli + case((unbounded, 0), else_=milli))
    )
    return done.rowcount == 1


def has_next_call_reserved(state: JobState, held_for: str | None) -> bool:
    """Whether the batch's budget has set aside a call that such a job has not begun."""
    return state in NOT_BEGUN and held_for not in WITHOUT_RESERVE


def release_budget(db: Connection, claim: Claim) -> None:
    """Give back what was set aside for one call that will not be paid."""
    if claim.batch_id is None:
        return
    db.execute(
        update(BATCH)
        .where(BATCH.c.id == claim.batch_id, BATCH.c.budget_milli.is_not(None))
        .values(reserved_milli=BATCH.c.reserved_milli - claim.estimated_milli)
    )
