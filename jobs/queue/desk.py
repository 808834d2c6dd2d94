"""Where people, and money that is back, decide: cancel, retry, resolve, front, release."""

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Select, case, func, select, update

from jobs.errors import Conflict, NotFound
from jobs.queue.bulk import affordable
from jobs.queue.dispatch import lock
from jobs.queue.intake import priced
from jobs.queue.many import move_all
from jobs.queue.moves import (
    BATCH,
    CLAIM_COLUMNS,
    JOB,
    Claim,
    has_next_call_reserved,
    move,
    reserve_budget,
    write_event,
)
from jobs.queue.needs import blocked, need_again
from jobs.queue.reopening import reopened
from jobs.queue.returning import CALLED_OFF, RETRIED, last_word
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


def call_off(db: Connection, project_id: str, job_id: str, now: datetime) -> None:
    """Cancel a job, or see that no further call is made for one that was sent; its output is kept.

    Raises Conflict for a job that has ended.
    """
    claim = find(db, project_id, job_id)
    if claim.state not in PAID:
        cancel(db, project_id, job_id, now)
    else:
        write_event(db, claim, claim.state, now, verb=CALLED_OFF)


def retry(
    db: Connection,
    project_id: str,
    job_id: str,
    now: datetime,
    *,
    params: dict[str, Any] | None = None,
) -> None:
    """Open a job again that ended without success; raises Conflict for any other.

    With other parameters it starts anew: the answers to its earlier calls are of no use then.
    A job that was called off, and is still on its way, goes on as if it had not been.
    """
    claim = find(db, project_id, job_id)
    if claim.state in PAID and params is None and last_word(db, claim) == CALLED_OFF:
        write_event(db, claim, claim.state, now, verb=RETRIED)
        return
    if claim.state == JobState.HELD:
        raise Conflict("a held job goes on by itself, or is resolved if it is held as uncertain")
    if claim.state not in RETRYABLE:
        raise Conflict(
            f"only a failed, canceled or skipped job can be retried, not a {claim.state} one"
        )
    changes = {}
    if params is not None and params != claim.params:
        changes = priced(claim.operation, params) | {"started_at": None}
    price = changes.get("estimated_milli", claim.estimated_milli)
    if not reserve_budget(db, claim.batch_id, price):
        raise Conflict("the batch's budget has no room for it")
    again = reopened(now) | {"fronted_at": None} | changes
    if need_again(db, job_id):
        again["due_at"] = None
        move(db, claim, JobState.WAITING, now, verb=RETRIED, **again)
        return
    move(db, claim, JobState.QUEUED, now, verb=RETRIED, **again)


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


def awaits_funds(db: Connection) -> bool:
    """Whether any job is held for want of funds."""
    return db.execute(_held("funds").limit(1)).first() is not None


def release_funded(
    db: Connection, now: datetime, *, most_milli: int | None = None, limit: int = 500
) -> int:
    """Queue jobs again that were held for want of funds; to be called when there are some.

    Those that cost more than `most_milli` stay: they would be refused again.
    """
    held = _held("funds")
    if most_milli is not None:
        held = held.where(JOB.c.estimated_milli <= most_milli)
    ids = [row.id for row in lock(db, held.limit(limit))]
    return move_all(db, ids, JobState.HELD, JobState.QUEUED, now, verb="funded", **reopened(now))


def release_budgeted(db: Connection, now: datetime, *, limit: int = 500) -> int:
    """Queue jobs again for which their batch's budget has room by now, in the order of their rows.

    Those of a batch that is not started stay, as its other jobs wait.
    """
    any_held = _held("budget").where(JOB.c.batch_id == BATCH.c.id).exists()
    has_room = BATCH.c.budget_milli.is_(None) | (BATCH.c.reserved_milli < BATCH.c.budget_milli)
    batches = select(BATCH.c.id).where(BATCH.c.loaded_at.is_not(None), has_room, any_held)
    found = list(db.execute(batches.order_by(BATCH.c.id)).scalars())
    return sum(_release_within_budget(db, batch_id, now, limit) for batch_id in found)


def _release_within_budget(db: Connection, batch_id: str, now: datetime, limit: int) -> int:
    batch = db.execute(select(BATCH).where(BATCH.c.id == batch_id).with_for_update()).one()
    rows = lock(db, _held("budget").where(JOB.c.batch_id == batch_id).limit(limit))
    ids = affordable(batch, rows)
    milli = sum(row.estimated_milli for row in rows[: len(ids)])
    if not ids or not reserve_budget(db, batch_id, milli):
        return 0
    # With an attempt it was held when an uncertain one left no room for another.
    second = case((JOB.c.attempt_id.is_not(None), 1), else_=0)
    changes = reopened(now) | {"resubmits": JOB.c.resubmits + second}
    waiting = blocked(db, ids)
    released = 0
    for target, due_at in (
        (JobState.QUEUED, func.coalesce(JOB.c.run_at, now)),
        # Some need other jobs as well.
        (JobState.WAITING, None),
    ):
        some = [job_id for job_id in ids if (job_id in waiting) == (target == JobState.WAITING)]
        on = changes | {"due_at": due_at}
        released += move_all(db, some, JobState.HELD, target, now, verb="budgeted", **on)
    return released


def front(db: Connection, project_id: str, job_id: str, now: datetime) -> None:
    """Move a queued job before all others of its project and priority; raises Conflict."""
    claim = find(db, project_id, job_id)
    if claim.state != JobState.QUEUED:
        raise Conflict(f"only a queued job can be moved to the front, not a {claim.state} one")
    db.execute(
        update(JOB)
        .where(JOB.c.id == job_id, JOB.c.state == claim.state, JOB.c.fence == claim.fence)
        .values(fronted_at=now)
    )
    write_event(db, claim, claim.state, now, verb="fronted")


def _held(reason: str) -> Select[Any]:
    return (
        select(JOB.c.id, JOB.c.estimated_milli)
        .where(JOB.c.state == JobState.HELD, JOB.c.held_for == reason)
        .order_by(JOB.c.id)
    )
