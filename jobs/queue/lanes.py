"""The queues among which a claim chooses, found by steps in an index however many jobs wait.

A lane is the queue of one batch (or of a project's single jobs) at one priority, or what a person
moved to the front of a project.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, select

from jobs.queue.moves import BATCH, JOB, PROJECT
from jobs.queue.shares import Shares
from jobs.queue.turns import Party
from jobs.states import JobState

#: In place of a batch: the jobs that were moved to the front one by one.
FRONT = "!"
PROJECT_TERMS = (PROJECT.c.weight, PROJECT.c.max_in_flight, PROJECT.c.paused_at)
BATCH_TERMS = (BATCH.c.weight, BATCH.c.max_in_flight, BATCH.c.paused_at)


@dataclass(frozen=True)
class Lane:
    """One queue among those that take turns."""

    priority: int
    project_id: str
    batch_key: str


@dataclass(frozen=True)
class Front:
    """A lane that comes before the others of its project; `room` is what it may start."""

    lane: Lane
    room: int | None = None


def highest_priority(db: Connection, below: int | None) -> int | None:
    """The highest priority at which anything waits; below a given one."""
    wanted = startable(JOB.c.priority)
    if below is not None:
        wanted = wanted.where(JOB.c.priority < below)
    found: int | None = db.execute(wanted.order_by(JOB.c.priority.desc()).limit(1)).scalar()
    return found


def projects(db: Connection, priority: int, shares: Shares) -> Callable[[str | None], Party | None]:
    """Finds the next project behind one that has jobs at this priority."""
    wanted = (
        startable(JOB.c.project_id.label("key"), *PROJECT_TERMS)
        .outerjoin_from(JOB, PROJECT, PROJECT.c.id == JOB.c.project_id)
        .where(JOB.c.priority == priority)
        .order_by(JOB.c.project_id)
        .limit(1)
    )

    def find(last: str | None) -> Party | None:
        behind = wanted if last is None else wanted.where(JOB.c.project_id > last)
        row = db.execute(behind).one_or_none()
        return None if row is None else shares.party(row, shares.of_project)

    return find


def batches(
    db: Connection, priority: int, project_id: str, shares: Shares
) -> Callable[[str | None], Party | None]:
    """Finds the next batch behind one that has jobs of the project at this priority."""
    wanted = (
        startable(JOB.c.batch_key.label("key"), *BATCH_TERMS)
        .outerjoin_from(JOB, BATCH, BATCH.c.id == JOB.c.batch_key)
        .where(JOB.c.priority == priority, JOB.c.project_id == project_id)
        .order_by(JOB.c.batch_key)
        .limit(1)
    )

    def find(last: str | None) -> Party | None:
        behind = wanted if last is None else wanted.where(JOB.c.batch_key > last)
        row = db.execute(behind).one_or_none()
        return None if row is None else shares.party(row, shares.of_batch)

    return find


def fronts(db: Connection, priority: int, shares: Shares) -> dict[str, list[Front]]:
    """What was moved to the front of each project: its single jobs, then its batches."""
    jobs = (
        startable(JOB.c.project_id)
        .where(JOB.c.fronted_at.is_not(None), JOB.c.priority == priority)
        .distinct()
    )
    found = {project: [Front(Lane(priority, project, FRONT))] for project in db.scalars(jobs)}
    moved = (
        select(BATCH.c.project_id, BATCH.c.id.label("key"), *BATCH_TERMS)
        .where(BATCH.c.fronted_at.is_not(None))
        .order_by(BATCH.c.project_id.desc(), BATCH.c.fronted_at.desc())
    )
    for row in db.execute(moved):
        room = shares.party(row, shares.of_batch).room
        front = Front(Lane(priority, row.project_id, row.key), room)
        found.setdefault(row.project_id, []).append(front)
    return found


def due_in(lane: Lane, now: datetime) -> Select[Any]:
    """A lane's due jobs, the oldest first; what was moved to the front last comes first there."""
    due = startable(JOB.c.id, JOB.c.attempts, JOB.c.expires_at).where(
        JOB.c.priority == lane.priority,
        JOB.c.project_id == lane.project_id,
        JOB.c.due_at <= now,
    )
    if lane.batch_key != FRONT:
        return due.where(JOB.c.batch_key == lane.batch_key).order_by(JOB.c.due_at, JOB.c.id)
    is_paused = select(BATCH.c.id).where(
        BATCH.c.id == JOB.c.batch_id, BATCH.c.paused_at.is_not(None)
    )
    moved = due.where(JOB.c.fronted_at.is_not(None), ~is_paused.exists())
    return moved.order_by(JOB.c.fronted_at.desc())


def startable(*columns: Any) -> Select[Any]:
    """Of the rows that may be started now or later; they are what the index holds."""
    return select(*columns).where(JOB.c.due_at.is_not(None), JOB.c.state == JobState.QUEUED)
