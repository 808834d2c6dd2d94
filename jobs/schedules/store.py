"""Schedules in the database: made, looked at, changed, deleted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from jobs.errors import NotFound
from jobs.models import new_id, table
from jobs.models_flows import Firing, Schedule
from jobs.public import when
from jobs.schedules.clock import Clock

SCHEDULE = table(Schedule)
FIRING = table(Firing)

#: Runs that are shown with a schedule.
RUNS_SHOWN = 10
#: What decides the next time.
TIMES = ("cron", "timezone", "start_at", "end_at")


@dataclass(frozen=True, kw_only=True)
class NewSchedule:
    """A checked schedule that is about to be made."""

    name: str | None
    cron: str
    timezone: str
    overlap: str
    template: Mapping[str, Any]
    plan: Mapping[str, Any]
    start_at: datetime | None = None
    end_at: datetime | None = None
    paused_at: datetime | None = None


def clock_of(row: Row[Any] | NewSchedule) -> Clock:
    """The times of a schedule."""
    return Clock(**{name: getattr(row, name) for name in TIMES})


def create(db: Connection, wanted: NewSchedule, now: datetime, *, project_id: str) -> str:
    """Make a schedule; returns its id."""
    next_run_at = None if wanted.paused_at else clock_of(wanted).next_after(now)
    row = {
        "id": new_id(),
        "project_id": project_id,
        "next_run_at": next_run_at,
        "created_at": now,
        **vars(wanted),
    }
    db.execute(insert(SCHEDULE), row)
    return str(row["id"])


def find(db: Connection, project_id: str, schedule_id: str, *, is_locked: bool = False) -> Row[Any]:
    """A schedule; raises NotFound."""
    wanted = select(SCHEDULE).where(
        SCHEDULE.c.id == schedule_id,
        SCHEDULE.c.project_id == project_id,
        SCHEDULE.c.deleted_at.is_(None),
    )
    found = db.execute(wanted.with_for_update() if is_locked else wanted).one_or_none()
    if found is None:
        raise NotFound(f"there is no schedule {schedule_id}")
    return found


def list_schedules(
    db: Connection, project_id: str, *, before: str | None = None, limit: int = 50
) -> Sequence[Row[Any]]:
    """The newest schedules; `before` is the last id of the page before."""
    wanted = select(SCHEDULE).where(
        SCHEDULE.c.project_id == project_id, SCHEDULE.c.deleted_at.is_(None)
    )
    if before is not None:
        wanted = wanted.where(SCHEDULE.c.id < before)
    return db.execute(wanted.order_by(SCHEDULE.c.id.desc()).limit(limit)).all()


def change(
    db: Connection, project_id: str, schedule_id: str, changes: Mapping[str, Any], now: datetime
) -> None:
    """Change a schedule. With other times, or after a pause, the next one is found anew, so none
    of a pause is made up for; else a run that is due stays so."""
    before = find(db, project_id, schedule_id, is_locked=True)
    db.execute(update(SCHEDULE).where(SCHEDULE.c.id == schedule_id).values(**changes))
    after = find(db, project_id, schedule_id)
    is_paused = after.paused_at is not None
    if clock_of(before) == clock_of(after) and (before.paused_at is not None) == is_paused:
        return
    next_run_at = None if is_paused else clock_of(after).next_after(now)
    db.execute(update(SCHEDULE).where(SCHEDULE.c.id == schedule_id).values(next_run_at=next_run_at))


def delete(db: Connection, project_id: str, schedule_id: str, now: datetime) -> None:
    """Run it no more; what it let in goes on."""
    find(db, project_id, schedule_id, is_locked=True)
    gone = {"deleted_at": now, "next_run_at": None}
    db.execute(update(SCHEDULE).where(SCHEDULE.c.id == schedule_id).values(**gone))


def last_runs(db: Connection, schedule_id: str, *, limit: int = RUNS_SHOWN) -> Sequence[Row[Any]]:
    """The last runs, the newest first."""
    runs = select(FIRING).where(FIRING.c.schedule_id == schedule_id)
    return db.execute(runs.order_by(FIRING.c.due_at.desc()).limit(limit)).all()


def schedule_public(schedule: Row[Any], runs: Sequence[Row[Any]]) -> dict[str, Any]:
    """The public form of a schedule."""
    return {
        "id": schedule.id,
        "name": schedule.name,
        "cron": schedule.cron,
        "timezone": schedule.timezone,
        "overlap": schedule.overlap,
        "enabled": schedule.paused_at is None,
        "start_at": when(schedule.start_at),
        "end_at": when(schedule.end_at),
        "next_run_at": when(schedule.next_run_at),
        "template": schedule.template,
        "runs": [firing_public(run) for run in runs],
        "created_at": when(schedule.created_at),
    }


def firing_public(firing: Row[Any]) -> dict[str, Any]:
    """The public form of one run."""
    return {
        "due_at": when(firing.due_at),
        "fired_at": when(firing.fired_at),
        "cause": firing.cause,
        "skipped_because": firing.skipped_because,
        "job_id": firing.job_id,
        "batch_id": firing.batch_id,
    }
