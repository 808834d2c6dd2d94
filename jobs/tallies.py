"""Counters: how many jobs are in which state, and what they cost.

Each event is a change of two counters. Events are added up into `tally` now and then; a count is
the tally plus the events that are not in it yet, so it is exact at any moment, and nobody waits
for a lock on a counter.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, select, text, update

from jobs.db import ensure
from jobs.models import Event, Tally, table
from jobs.states import FINAL, JobState

EVENT = table(Event)
TALLY = table(Tally)

#: In the index's own words: SQLAlchemy would ask SQLite for `tallied = 0`, which reads all events.
UNTALLIED = text("NOT event.tallied")

#: Events added up in one transaction.
MOST_AT_ONCE = 2000


@dataclass(frozen=True)
class Counts:
    """Jobs by state, and the credits spent in thousandths."""

    by_state: dict[JobState, int]
    charged_milli: int

    @property
    def total(self) -> int:
        """All jobs."""
        return sum(self.by_state.values())

    @property
    def finished(self) -> int:
        """Jobs in a final state."""
        return sum(n for state, n in self.by_state.items() if state in FINAL)

    def of(self, *states: JobState) -> int:
        """Jobs in these states."""
        return sum(self.by_state.get(state, 0) for state in states)


Key = tuple[str, str, str]


def add_up(events: Iterable[Any]) -> tuple[Counter[Key], Counter[Key]]:
    """What events change: jobs and credits, by (project, batch, state)."""
    jobs: Counter[Key] = Counter()
    charged: Counter[Key] = Counter()
    for event in events:
        scope = (event.project_id, event.batch_id or "")
        if event.origin is not None:
            jobs[*scope, event.origin] -= 1
        jobs[*scope, event.target] += 1
        charged[*scope, event.target] += event.charged_milli
    return jobs, charged


def fold(db: Connection) -> int:
    """Add events up into the tally; returns their number."""
    return len(fold_events(db))


def fold_events(db: Connection) -> Sequence[Row[Any]]:
    """The same; returns the events, of which nobody else ever gets one."""
    chosen = (
        select(EVENT.c.id)
        .where(UNTALLIED)
        .order_by(EVENT.c.id)
        .limit(MOST_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    ids = list(db.execute(chosen).scalars())
    if not ids:
        return []
    events = db.execute(
        update(EVENT).where(EVENT.c.id.in_(ids)).values(tallied=True).returning(EVENT)
    ).all()
    jobs, charged = add_up(events)
    # In one order, so that two that add up at once cannot wait for each other.
    for key in sorted(jobs):
        if jobs[key] or charged[key]:
            _add(db, key, jobs[key], charged[key])
    return events


def _add(db: Connection, key: Key, jobs: int, charged_milli: int) -> None:
    project_id, batch_id, state = key
    ensure(
        db,
        TALLY,
        {
            "project_id": project_id,
            "batch_id": batch_id,
            "state": state,
            "jobs": 0,
            "charged_milli": 0,
        },
    )
    db.execute(
        update(TALLY)
        .where(
            TALLY.c.project_id == project_id,
            TALLY.c.batch_id == batch_id,
            TALLY.c.state == state,
        )
        .values(jobs=TALLY.c.jobs + jobs, charged_milli=TALLY.c.charged_milli + charged_milli)
    )


def counts(db: Connection, *, project_id: str | None = None, batch_id: str | None = None) -> Counts:
    """Count the jobs of a batch, of a project, or all."""
    jobs, charged = add_up(db.execute(_untallied(project_id, batch_id)))
    totals: Counter[str] = Counter()
    for (_, _, state), n in jobs.items():
        totals[state] += n
    milli = sum(charged.values())
    for row in db.execute(_tallied(project_id, batch_id)):
        totals[row.state] += int(row.jobs)
        milli += int(row.charged)
    by_state = {JobState(state): n for state, n in totals.items() if n}
    return Counts(by_state, milli)


def _untallied(project_id: str | None, batch_id: str | None) -> Any:
    return select(
        EVENT.c.project_id,
        EVENT.c.batch_id,
        EVENT.c.origin,
        EVENT.c.target,
        EVENT.c.charged_milli,
    ).where(UNTALLIED, *_scope(EVENT, project_id, batch_id))


def _tallied(project_id: str | None, batch_id: str | None) -> Any:
    return (
        select(
            TALLY.c.state,
            func.sum(TALLY.c.jobs).label("jobs"),
            func.sum(TALLY.c.charged_milli).label("charged"),
        )
        .where(*_scope(TALLY, project_id, batch_id))
        .group_by(TALLY.c.state)
    )


def _scope(source: Any, project_id: str | None, batch_id: str | None) -> list[ColumnElement[bool]]:
    scope = []
    if project_id is not None:
        scope.append(source.c.project_id == project_id)
    if batch_id is not None:
        scope.append(source.c.batch_id == batch_id)
    return scope
