"""Batches: many jobs under one name, let in row by row, resumable, with one summary."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Row, and_, case, func, insert, select, update

from jobs.db import Database
from jobs.errors import Conflict, NotFound
from jobs.models import Attempt, Batch, Job, new_id, table
from jobs.queue import bulk
from jobs.queue.bulk import Bulk
from jobs.queue.intake import NewJob, submit
from jobs.queue.moves import NOT_BEGUN, WITHOUT_RESERVE
from jobs.settings import OnUncertain
from jobs.states import JobState

BATCH = table(Batch)
JOB = table(Job)
ATTEMPT = table(Attempt)

#: Rows let in by one transaction: others wait for SQLite's writer no longer than that takes.
ROWS_AT_ONCE = 500


@dataclass(frozen=True, kw_only=True)
class NewBatch:
    """A batch as it is asked for."""

    name: str
    fingerprint: str
    size: int
    on_uncertain: OnUncertain
    about: dict[str, Any]
    budget_milli: int | None = None
    priority: int = 0
    webhook_url: str | None = None


def open_batch(
    db: Connection, wanted: NewBatch, now: datetime, *, project_id: str
) -> tuple[str, bool]:
    """Make a batch, or find the one of that name; returns its id and whether it is new.

    One that is found stays as it is: its budget may have been changed since. Raises Conflict if the
    name belongs to other rows.
    """
    known = find_batch(db, project_id, wanted.name)
    if known is None:
        batch_id = new_id()
        row = {"id": batch_id, "project_id": project_id, "created_at": now, **vars(wanted)}
        db.execute(insert(BATCH), row)
        return batch_id, True
    if known.fingerprint != wanted.fingerprint:
        raise Conflict(
            f"the batch {wanted.name!r} was made from another manifest or with other options; "
            "choose another --name, or bring back what it was made from"
        )
    return known.id, False


def reserved_now(db: Connection, batch_id: str) -> int:
    """What the batch's jobs may cost or did: recounted when a budget comes, goes or changes.

    Who writes it down has locked the batch, or what others set aside meanwhile would be lost.
    """
    # A job's price for each call that was paid or may have been, and for the one it will make.
    begun = (
        select(func.count())
        .where(
            ATTEMPT.c.job_id == JOB.c.id,
            # A refusal that was heard too late to count.
            ATTEMPT.c.refused_at.is_(None)
            | ATTEMPT.c.uncertain_at.is_not(None)
            | (JOB.c.state == JobState.SUBMITTING) & (ATTEMPT.c.id == JOB.c.attempt_id),
        )
        .scalar_subquery()
    )
    is_reserved = and_(
        JOB.c.state.in_(NOT_BEGUN),
        func.coalesce(JOB.c.held_for, "").not_in(WITHOUT_RESERVE),
    )
    calls = begun + case((is_reserved, 1), else_=0)
    total = db.execute(
        select(func.coalesce(func.sum(JOB.c.estimated_milli * calls), 0)).where(
            JOB.c.batch_id == batch_id
        )
    ).scalar_one()
    return int(total)


def find_batch(db: Connection, project_id: str, name_or_id: str) -> Row[Any] | None:
    """A batch by its name, or by its id."""
    return db.execute(
        select(BATCH).where(
            BATCH.c.project_id == project_id,
            (BATCH.c.name == name_or_id) | (BATCH.c.id == name_or_id),
        )
    ).one_or_none()


def get_batch(db: Connection, project_id: str, name_or_id: str) -> Row[Any]:
    """The same; raises NotFound."""
    found = find_batch(db, project_id, name_or_id)
    if found is None:
        raise NotFound(f"there is no batch {name_or_id!r}")
    return found


def lock_batch(db: Connection, project_id: str, name_or_id: str) -> Row[Any]:
    """The same, and nobody else changes it until the transaction ends."""
    batch_id = get_batch(db, project_id, name_or_id).id
    return db.execute(select(BATCH).where(BATCH.c.id == batch_id).with_for_update()).one()


def load_rows(
    database: Database, batch_id: str, rows: Iterable[NewJob], *, project_id: str
) -> Iterator[int]:
    """Let the rows in, some at a time; yields how many were read so far.

    Rows that are there already stay as they are, so a load that was cut off is just done again.
    Raises Conflict as soon as the batch is canceled.
    """
    read = 0
    source = iter(rows)
    while chunk := list(islice(source, ROWS_AT_ONCE)):
        now = database.now()
        with database.transaction() as db:
            submit(db, chunk, now, project_id=project_id, batch_id=batch_id)
        read += len(chunk)
        yield read
    now = database.now()
    with database.transaction() as db:
        db.execute(
            update(BATCH)
            .where(BATCH.c.id == batch_id)
            .values(loaded_at=func.coalesce(BATCH.c.loaded_at, now))
        )


def pause(db: Connection, project_id: str, batch_id: str, now: datetime | None) -> None:
    """Start no more of its jobs; None goes on."""
    _change(db, project_id, batch_id, paused_at=now)


def front(db: Connection, project_id: str, batch_id: str, now: datetime) -> None:
    """Move a batch before all others of its project; raises Conflict when nothing of it is left."""
    batch = get_batch(db, project_id, batch_id)
    if batch.canceled_at is not None:
        raise Conflict("the batch is canceled")
    _change(db, project_id, batch.id, fronted_at=now)


def forget_fronts(db: Connection) -> None:
    """Let batches go of which nothing is left to start, so that few are looked at in a claim."""
    left = select(JOB.c.id).where(JOB.c.batch_id == BATCH.c.id, JOB.c.state.in_(NOT_BEGUN))
    db.execute(
        update(BATCH).where(BATCH.c.fronted_at.is_not(None), ~left.exists()).values(fronted_at=None)
    )


def change(db: Connection, project_id: str, batch_id: str, now: datetime, **changes: Any) -> None:
    """Change weight, max_in_flight, priority or budget_milli; raises Conflict and NotFound.

    A new priority comes to the jobs piece by piece: see `carry_out`.
    """
    batch = lock_batch(db, project_id, batch_id)
    if "priority" in changes:
        bulk.begin(db, batch.id, Bulk.PRIORITIZE, now)
        defaults = batch.about.get("defaults")
        if defaults is not None:
            told = {**defaults, "priority": changes["priority"]}
            changes["about"] = {**batch.about, "defaults": told}
    if "budget_milli" in changes:
        changes["reserved_milli"] = reserved_now(db, batch.id)
    _change(db, project_id, batch.id, **changes)


def _change(db: Connection, project_id: str, batch_id: str, **changes: Any) -> None:
    db.execute(
        update(BATCH)
        .where(BATCH.c.id == batch_id, BATCH.c.project_id == project_id)
        .values(changes)
    )


def carry_out(database: Database, batch_id: str) -> Iterator[int]:
    """Do what was begun for all of a batch's jobs; yields how many were changed by now."""
    changed = 0
    while True:
        now = database.now()
        with database.transaction() as db:
            piece = bulk.go_on(db, batch_id, now)
        changed += piece.changed
        yield changed
        if piece.is_over:
            return


def list_batches(
    db: Connection, project_id: str, *, before: str | None = None, limit: int = 50
) -> list[Row[Any]]:
    """The newest batches; `before` is the last id of the page before."""
    wanted = select(BATCH).where(BATCH.c.project_id == project_id)
    if before is not None:
        wanted = wanted.where(BATCH.c.id < before)
    return list(db.execute(wanted.order_by(BATCH.c.id.desc()).limit(limit)))
