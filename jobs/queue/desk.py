"""Where people, and money that is back, decide: cancel, retry, resolve, release."""

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, func, select, update

from jobs.errors import Conflict, NotFound
from jobs.queue.intake import priced
from jobs.queue.moves import (
    BATCH,
    CLAIM_COLUMNS,
    JOB,
    Claim,
    has_next_call_reserved,
    move,
    reserve_budget,
)
from jobs.states import PAID, JobState

#: What `retry` opens again.
RETRYABLE = frozenset({JobState.FAILED, JobState.CANCELED, JobState.SKIPPED})


def find(db: Connection, project_id: str, job_id: str) -> Claim:
    """The job, locked; raises NotFound."""
    row = db.execute(
        select(*CLAIM_COLUMNS)
        .where(JOB.c.id == job_id, JOB.c.project_id == project_id)
        .with_for_update()
    ).one_or_none()
    if row is None:
        raise NotFound(f"there is no job {job_id}")
    return Claim.of(row)


def cancel(db: Connection, project_id: str, job_id: str, now: datetime) -> None:
    """Stop a job that was not sent yet; raises Conflict once it was, for then it is paid."""
    claim = find(db, project_id, job_id)
    if claim.state in PAID:
        raise Conflict("the job was sent already: it finishes, and its output is kept")
    if claim.state == JobState.CANCELED:
        return
    if claim.state not in {JobState.WAITING, JobState.QUEUED, JobState.HELD}:
        raise Conflict(f"the job has {claim.state} already")
    held_for = db.execute(select(JOB.c.held_for).where(JOB.c.id == job_id)).scalar_one()
    reserved = has_next_call_reserved(claim.state, held_for)
    move(db, claim, JobState.CANCELED, now, verb="canceled", release=reserved)


def cancel_batch(db: Connection, project_id: str, batch_id: str, now: datetime) -> int:
    """Cancel all of a batch's jobs that were not sent; returns their number."""
    db.execute(
        update(BATCH)
        .where(BATCH.c.id == batch_id, BATCH.c.project_id == project_id)
        .values(canceled_at=func.coalesce(BATCH.c.canceled_at, now))
    )
    open_states = [JobState.WAITING, JobState.QUEUED, JobState.HELD]
    ids = _ids(db, JOB.c.batch_id == batch_id, JOB.c.state.in_(open_states), skip_locked=False)
    for job_id in ids:
        cancel(db, project_id, job_id, now)
    return len(ids)


def retry(
    db: Connection,
    project_id: str,
    job_id: str,
    now: datetime,
    *,
    params: dict[str, Any] | None = None,
) -> None:
    """Open a job again that ended without success; raises Conflict for any other."""
    claim = find(db, project_id, job_id)
    if claim.state not in RETRYABLE:
        raise Conflict(
            f"only a failed, canceled or skipped job can be retried, not a {claim.state} one"
        )
    changes = {} if params is None else priced(claim.operation, params)
    price = changes.get("estimated_milli", claim.estimated_milli)
    if not reserve_budget(db, claim.batch_id, price):
        raise Conflict("the batch's budget has no room for it")
    _open_again(db, claim, now, "retried", **changes)


def retry_batch(db: Connection, project_id: str, batch_id: str, now: datetime) -> int:
    """Retry all failed jobs of a batch; returns their number."""
    ids = _ids(db, JOB.c.batch_id == batch_id, JOB.c.state == JobState.FAILED, skip_locked=False)
    for job_id in ids:
        retry(db, project_id, job_id, now)
    return len(ids)


def resolve(
    db: Connection,
    project_id: str,
    job_id: str,
    now: datetime,
    *,
    decision: Literal["resubmit", "give-up"],
) -> None:
    """Decide about a job that is held as uncertain: pay again, or fail it."""
    claim = find(db, project_id, job_id)
    row = db.execute(select(JOB.c.held_for, JOB.c.error).where(JOB.c.id == job_id)).one()
    if claim.state != JobState.HELD or row.held_for != "uncertain":
        raise Conflict("the job is not held as uncertain")
    if decision == "give-up":
        move(db, claim, JobState.FAILED, now, verb="given_up")
        return
    if not reserve_budget(db, claim.batch_id, claim.estimated_milli):
        raise Conflict("the batch's budget has no room for a second payment")
    move(
        db,
        claim,
        JobState.QUEUED,
        now,
        verb="resubmitted",
        held_for=None,
        due_at=now,
        resubmits=claim.resubmits + 1,
        attempt_id=None,
        result_id=None,
    )


def release_funded(db: Connection, now: datetime, *, limit: int = 500) -> int:
    """Queue jobs again that were held for want of funds; to be called when there are some."""
    ids = _ids(db, JOB.c.state == JobState.HELD, JOB.c.held_for == "funds", limit=limit)
    for claim in _claims(db, ids):
        _open_again(db, claim, now, "funded")
    return len(ids)


def release_budgeted(db: Connection, now: datetime, *, limit: int = 500) -> int:
    """Queue jobs again for which their batch's budget has room by now."""
    has_room = (
        select(BATCH.c.id)
        .where(
            BATCH.c.id == JOB.c.batch_id,
            BATCH.c.budget_milli.is_(None)
            | (BATCH.c.reserved_milli + JOB.c.estimated_milli <= BATCH.c.budget_milli),
        )
        .exists()
    )
    ids = _ids(db, JOB.c.state == JobState.HELD, JOB.c.held_for == "budget", has_room, limit=limit)
    released = 0
    for claim in _claims(db, ids):
        if reserve_budget(db, claim.batch_id, claim.estimated_milli):
            # With an attempt it was held when an uncertain one left no room for another.
            resubmits = claim.resubmits + (claim.attempt_id is not None)
            _open_again(db, claim, now, "budgeted", resubmits=resubmits)
            released += 1
    return released


def expire_unstarted(db: Connection, now: datetime, *, limit: int = 500) -> int:
    """Cancel queued jobs whose start deadline has passed."""
    ids = _ids(db, JOB.c.state == JobState.QUEUED, JOB.c.expires_at < now, limit=limit)
    for claim in _claims(db, ids):
        move(db, claim, JobState.CANCELED, now, verb="too_late", release=True)
    return len(ids)


def _open_again(db: Connection, claim: Claim, now: datetime, verb: str, **changes: Any) -> None:
    move(
        db,
        claim,
        JobState.QUEUED,
        now,
        verb=verb,
        held_for=None,
        due_at=now,
        finished_at=None,
        # A worker that had the job before it was stopped is not its owner any more.
        fence=JOB.c.fence + 1,
        refusals=0,
        crashes=0,
        attempt_id=None,
        result_id=None,
        **changes,
    )


def _ids(
    db: Connection,
    *where: ColumnElement[bool],
    limit: int | None = None,
    skip_locked: bool = True,
) -> list[str]:
    """Lock rows. A duty leaves out what others have locked; a person means all of them."""
    chosen = select(JOB.c.id).where(*where).order_by(JOB.c.id).limit(limit)
    return list(db.execute(chosen.with_for_update(skip_locked=skip_locked, of=JOB)).scalars())


def _claims(db: Connection, ids: list[str]) -> list[Claim]:
    return [Claim.of(row) for row in db.execute(select(*CLAIM_COLUMNS).where(JOB.c.id.in_(ids)))]
