"""What a project or a batch may have: its weight in the turns, and how much under way at once.

Under way is a job from its dispatch to its output: leased, or polled now and then. Jobs under way
are counted only where somebody has a bound, and then once in a claim.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Select, func, select, union_all

from jobs.queue.moves import JOB
from jobs.queue.turns import Party
from jobs.states import JobState


class Shares:
    """One claim's view of what everybody may start."""

    def __init__(self, db: Connection) -> None:
        self._db = db
        self._in_flight: dict[tuple[str, str], int] | None = None

    def party(self, row: Any, in_flight: Callable[[str], int]) -> Party:
        """A project or batch in its turn; one without a row of its own has no bounds."""
        if row.paused_at is not None:
            return Party(row.key, room=0)
        room = None
        if row.max_in_flight is not None:
            room = max(0, row.max_in_flight - in_flight(row.key))
        return Party(row.key, row.weight or 1, room)

    def of_project(self, project_id: str) -> int:
        """The project's jobs under way."""
        return sum(n for (project, _), n in self._counted().items() if project == project_id)

    def of_batch(self, batch_id: str) -> int:
        """The batch's jobs under way."""
        return sum(n for (_, batch), n in self._counted().items() if batch == batch_id)

    def _counted(self) -> dict[tuple[str, str], int]:
        if self._in_flight is None:
            self._in_flight = in_flight(self._db)
        return self._in_flight


def in_flight(db: Connection) -> dict[tuple[str, str], int]:
    """Jobs under way by project and batch: two small indexes have them all."""
    leased = _counted().where(JOB.c.lease_until.is_not(None))
    going_on = _counted().where(JOB.c.due_at.is_not(None), JOB.c.state != JobState.QUEUED)
    found: Counter[tuple[str, str]] = Counter()
    for project_id, batch_key, jobs in db.execute(union_all(leased, going_on)):
        found[project_id, batch_key] += int(jobs)
    return found


def _counted() -> Select[Any]:
    return select(JOB.c.project_id, JOB.c.batch_key, func.count()).group_by(
        JOB.c.project_id, JOB.c.batch_key
    )
