"""Verbs for all jobs of a batch: carried out in pieces, each of them one transaction.

The batch's row says what was begun, so whoever comes next goes on with it: its caller, or the beat
where the caller was cut off.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, select, update

from jobs.errors import Conflict
from jobs.queue.dispatch import lock
from jobs.queue.many import move_all, release_budgets
from jobs.queue.moves import BATCH, JOB, NOT_BEGUN, WITHOUT_RESERVE
from jobs.queue.reopening import reopened
from jobs.queue.starting import release_started, startable
from jobs.states import OPEN, JobState

#: Jobs changed in one transaction: others wait for SQLite's writer no longer than that takes.
JOBS_AT_ONCE = 2000


class Bulk(StrEnum):
    """What can be done to all jobs of a batch."""

    #: Its waiting jobs are queued.
    START = "start"
    #: What was not sent is canceled.
    CANCEL = "cancel"
    #: What has failed by now is queued again, as far as the budget goes.
    RETRY = "retry"
    #: What was not begun gets the batch's priority.
    PRIORITIZE = "prioritize"


@dataclass(frozen=True)
class Piece:
    """What one transaction did."""

    changed: int
    is_over: bool


def begin(db: Connection, batch_id: str, verb: Bulk, now: datetime) -> None:
    """Take a verb up; raises Conflict while another one is under way. A cancel ends any other.

    Nor is a batch canceled that has finished: nothing of it is left, nor will come.
    """
    batch = _locked(db, batch_id)
    if batch.bulk_verb not in {None, verb} and verb != Bulk.CANCEL:
        raise Conflict(f"the batch has a {batch.bulk_verb} under way; ask again when it is over")
    values: dict[str, Any] = {"bulk_verb": verb, "bulk_since": now, "bulk_after": None}
    if verb == Bulk.CANCEL:
        if _is_finished(db, batch):
            raise Conflict("the batch has finished already: nothing of it is left to cancel")
        # The last time: what was retried after an earlier one is canceled, too.
        values["canceled_at"] = now
    db.execute(update(BATCH).where(BATCH.c.id == batch_id).values(values))


def go_on(db: Connection, batch_id: str, now: datetime, *, limit: int = JOBS_AT_ONCE) -> Piece:
    """Do one piece of what was begun; over when nothing is left of it."""
    batch = _locked(db, batch_id)
    match batch.bulk_verb:
        case None:
            return Piece(0, is_over=True)
        case Bulk.START:
            piece = _start(db, batch_id, now, limit)
        case Bulk.CANCEL:
            piece = _cancel(db, batch_id, now, limit)
        case Bulk.RETRY:
            piece = _retry(db, batch, now, limit)
        case _:
            piece = _prioritize(db, batch, limit)
    if piece.is_over:
        over = {"bulk_verb": None, "bulk_since": None, "bulk_after": None}
        db.execute(update(BATCH).where(BATCH.c.id == batch_id).values(over))
    return piece


def unfinished(db: Connection, *, limit: int = 10) -> list[str]:
    """The batches with something under way."""
    begun = select(BATCH.c.id).where(BATCH.c.bulk_verb.is_not(None)).order_by(BATCH.c.id)
    return list(db.execute(begun.limit(limit)).scalars())


def is_under_way(db: Connection, batch_id: str) -> bool:
    """Whether something that was begun is not over."""
    begun = select(BATCH.c.id).where(BATCH.c.id == batch_id, BATCH.c.bulk_verb.is_not(None))
    return db.execute(begun).first() is not None


def _locked(db: Connection, batch_id: str) -> Row[Any]:
    # First the batch and then its jobs, none of which is waited for: no circle of waits can close.
    return db.execute(select(BATCH).where(BATCH.c.id == batch_id).with_for_update()).one()


def _is_finished(db: Connection, batch: Row[Any]) -> bool:
    # More rows may come before the start, and a verb under way may open jobs again. One that was
    # canceled before may be so again: whoever did not hear the answer asks twice.
    if batch.loaded_at is None or batch.bulk_verb is not None or batch.canceled_at is not None:
        return False
    is_open = JOB.c.state.in_(sorted(OPEN))
    one = select(JOB.c.id).where(JOB.c.batch_id == batch.id, is_open).limit(1)
    return db.execute(one).first() is None


def _start(db: Connection, batch_id: str, now: datetime, limit: int) -> Piece:
    if changed := release_started(db, batch_id, now, limit=limit):
        return Piece(changed, is_over=False)
    # What somebody else has locked at this moment is left for the next piece.
    return Piece(0, is_over=db.execute(startable(batch_id).limit(1)).first() is None)


def _cancel(db: Connection, batch_id: str, now: datetime, limit: int) -> Piece:
    for state in (JobState.QUEUED, JobState.WAITING, JobState.HELD):
        rows = lock(db, _in_state(batch_id, state, JOB.c.held_for).limit(limit))
        if rows:
            reserved = [row.id for row in rows if row.held_for not in WITHOUT_RESERVE]
            release_budgets(db, reserved)
            ids = [row.id for row in rows]
            changed = move_all(db, ids, state, JobState.CANCELED, now, verb="canceled")
            return Piece(changed, is_over=False)
    left = (_in_state(batch_id, state).limit(1) for state in NOT_BEGUN)
    return Piece(0, is_over=not any(db.execute(one).first() for one in left))


def _retry(db: Connection, batch: Row[Any], now: datetime, limit: int) -> Piece:
    failed = _in_state(batch.id, JobState.FAILED, JOB.c.estimated_milli).where(
        JOB.c.finished_at <= batch.bulk_since
    )
    rows = lock(db, failed.limit(limit))
    if not rows:
        return Piece(0, is_over=db.execute(failed.limit(1)).first() is None)
    ids = affordable(batch, rows)
    if batch.budget_milli is not None:
        milli = sum(row.estimated_milli for row in rows[: len(ids)])
        db.execute(
            update(BATCH)
            .where(BATCH.c.id == batch.id)
            .values(reserved_milli=BATCH.c.reserved_milli + milli)
        )
    changed = move_all(
        db, ids, JobState.FAILED, JobState.QUEUED, now, verb="retried", **reopened(now)
    )
    return Piece(changed, is_over=len(ids) < len(rows))


def affordable(batch: Row[Any], rows: Sequence[Row[Any]]) -> list[str]:
    """The first of the jobs, as many as the batch's budget has room for."""
    if batch.budget_milli is None:
        return [row.id for row in rows]
    room = batch.budget_milli - batch.reserved_milli
    ids = []
    for row in rows:
        room -= row.estimated_milli
        if room < 0:
            break
        ids.append(row.id)
    return ids


def _prioritize(db: Connection, batch: Row[Any], limit: int) -> Piece:
    jobs = select(JOB.c.id).where(JOB.c.batch_id == batch.id)
    if batch.bulk_after is not None:
        jobs = jobs.where(JOB.c.id > batch.bulk_after)
    ids = [row.id for row in lock(db, jobs.order_by(JOB.c.id).limit(limit))]
    if not ids:
        return Piece(0, is_over=True)
    changed = db.execute(
        update(JOB)
        .where(JOB.c.id.in_(ids), JOB.c.state.in_(NOT_BEGUN))
        .values(priority=batch.priority)
    ).rowcount
    db.execute(update(BATCH).where(BATCH.c.id == batch.id).values(bulk_after=ids[-1]))
    return Piece(changed, is_over=False)


def _in_state(batch_id: str, state: JobState, *columns: ColumnElement[Any]) -> Select[Any]:
    return (
        select(JOB.c.id, *columns)
        .where(JOB.c.batch_id == batch_id, JOB.c.state == state)
        .order_by(JOB.c.id)
    )
