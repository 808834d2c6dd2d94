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


def open_batch(
    db: Connection, wanted: NewBatch, now: datetime, *, project_id: str
) -> tuple[str, bool]:
    """Make a batch, or find the one of that name; returns its id and whether it is new.

    Raises Conflict if the name belongs to other rows.
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
    if wanted.budget_milli != known.budget_milli:
        db.execute(
            update(BATCH)
            .where(BATCH.c.id == known.id)
            .values(
                budget_milli=wanted.budget_milli,
                reserved_milli=reserved_now(db, known.id),
            )
        )
    return known.id, False


def reserved_now(db: Connection, batch_id: str) -> int:
    """What the batch's jobs may cost or did: recounted when a budget comes, goes or changes."""
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


def load_rows(
    database: Database, batch_id: str, rows: Iterable[NewJob], *, project_id: str
) -> Iterator[int]:
    """Let the rows in, some at a time; yields how many were read so far.

    Rows that are there already stay as they are, so a load that was cut off is just done again.
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
    db.execute(
        update(BATCH)
        .where(BATCH.c.id == batch_id, BATCH.c.project_id == project_id)
        .values(paused_at=now)
    )


def list_batches(
    db: Connection, project_id: str, *, before: str | None = None, limit: int = 50
) -> list[Row[Any]]:
    """The newest batches; `before` is the last id of the page before."""
    wanted = select(BATCH).where(BATCH.c.project_id == project_id)
    if before is not None:
        wanted = wanted.where(BATCH.c.id < before)
    return list(db.execute(wanted.order_by(BATCH.c.id.desc()).limit(limit)))
