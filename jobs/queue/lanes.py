"""Whose turn it is: within a priority, projects take turns, and within a project its batches do.

A lane is the queue of one batch (or of a project's single jobs) at one priority. Finding the next
lane takes two or three steps in the index, however many jobs wait.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, select

from jobs.queue.moves import BATCH, JOB
from jobs.states import JobState


@dataclass(frozen=True)
class Lane:
    """One queue among those that take turns."""

    priority: int
    project_id: str
    batch_key: str


class Turns:
    """Remembers who was served last; a dispatcher has one."""

    def __init__(self) -> None:
        self._last_project: dict[int, str] = {}
        self._last_batch: dict[tuple[int, str], str] = {}

    def next_lane(self, db: Connection, priority: int, dry: Collection[Lane]) -> Lane | None:
        """The lane whose turn it is; None when all that have jobs are among the dry ones."""
        first = None
        while True:
            lane = self._step(db, priority)
            if lane is None or lane not in dry:
                return lane
            if lane == first:
                return None
            first = first or lane

    def _step(self, db: Connection, priority: int) -> Lane | None:
        project = _behind(db, JOB.c.project_id, self._last_project.get(priority), priority)
        if project is None:
            return None
        last = self._last_batch.get((priority, project))
        batch_key = _behind(db, JOB.c.batch_key, last, priority, project)
        if batch_key is None:
            return None
        self._last_project[priority] = project
        self._last_batch[priority, project] = batch_key
        return Lane(priority, project, batch_key)


def _behind(
    db: Connection, column: Any, last: str | None, priority: int, project: str | None = None
) -> str | None:
    """The next value behind the last one; after the end the first one again."""
    wanted = startable(column).where(JOB.c.priority == priority)
    if project is not None:
        wanted = wanted.where(JOB.c.project_id == project)
    wanted = wanted.order_by(column).limit(1)
    if last is not None:
        found: str | None = db.execute(wanted.where(column > last)).scalar()
        if found is not None:
            return found
    first: str | None = db.execute(wanted).scalar()
    return first


def highest_priority(db: Connection, below: int | None) -> int | None:
    """The highest priority at which anything waits; below a given one."""
    wanted = startable(JOB.c.priority)
    if below is not None:
        wanted = wanted.where(JOB.c.priority < below)
    found: int | None = db.execute(wanted.order_by(JOB.c.priority.desc()).limit(1)).scalar()
    return found


def due_in(lane: Lane, now: datetime) -> Select[Any]:
    """A lane's due jobs, the oldest first."""
    return (
        startable(JOB.c.id)
        .where(
            JOB.c.priority == lane.priority,
            JOB.c.project_id == lane.project_id,
            JOB.c.batch_key == lane.batch_key,
            JOB.c.due_at <= now,
        )
        .order_by(JOB.c.due_at, JOB.c.id)
    )


def paused_batches(db: Connection) -> frozenset[str]:
    """The batches of which nothing is to be started."""
    paused = select(BATCH.c.id).where(BATCH.c.paused_at.is_not(None))
    return frozenset(db.execute(paused).scalars())


def startable(*columns: Any) -> Select[Any]:
    """Of the rows that may be started now or later; they are what the index holds."""
    return select(*columns).where(JOB.c.due_at.is_not(None), JOB.c.state == JobState.QUEUED)
