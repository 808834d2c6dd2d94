"""A schedule's time has come: its jobs are let in, once for each time.

The run's row and its jobs are written by one transaction, and the row's key is the time that the
run was meant for: however many beats see it, and wherever one of them dies, there is one run.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, select, update

from jobs.batches import BATCH, NewBatch, open_batch
from jobs.db import ensure
from jobs.errors import Conflict
from jobs.models import Job, new_id, table
from jobs.queue import bulk, desk
from jobs.queue.bulk import Bulk
from jobs.queue.intake import submit
from jobs.schedules.clock import UNKNOWN
from jobs.schedules.plan import BatchPlan, Plan
from jobs.schedules.store import FIRING, SCHEDULE, clock_of, find
from jobs.states import OPEN

JOB = table(Job)

#: Later than this a run is a catch-up: nobody was there when its time came.
LATE = timedelta(minutes=1)
#: Until the next try of a schedule whose next time cannot be found here.
BLIND = timedelta(hours=1)


class Overlap(StrEnum):
    """What happens when the last run is not over."""

    #: This one is left out, and told as that.
    SKIP = "skip"
    #: It is let in all the same, and queues up behind.
    QUEUE = "queue"
    #: What was not sent of the last one is canceled.
    REPLACE = "replace"


class Cause(StrEnum):
    """Why a run came about."""

    CLOCK = "clock"
    #: Its time had come while nothing ran.
    CATCH_UP = "catch_up"
    HAND = "hand"


def due_schedules(db: Connection, now: datetime, *, limit: int = 100) -> Sequence[str]:
    """The schedules whose time has come, the one that waits longest first."""
    wanted = select(SCHEDULE.c.id).where(SCHEDULE.c.next_run_at <= now)
    return db.execute(wanted.order_by(SCHEDULE.c.next_run_at).limit(limit)).scalars().all()


def fire(db: Connection, schedule_id: str, now: datetime) -> bool:
    """Run a schedule whose time has come, unless somebody else does; tells whether it ran.

    Of the times that were missed one is made up for, and the next is the first that comes.
    """
    schedule = _lock_due(db, schedule_id, now)
    if schedule is None:
        return False
    due_at = schedule.next_run_at
    is_new = _run(db, schedule, due_at, now, _cause(due_at, now))
    _go_on(db, schedule_id, clock_of(schedule).next_after(now))
    return is_new


def leave_out(db: Connection, schedule_id: str, now: datetime, because: str) -> None:
    """Write down why a time could not be run, and go on to the next; not if somebody else did."""
    schedule = _lock_due(db, schedule_id, now)
    if schedule is None:
        return
    due_at = schedule.next_run_at
    row = {"schedule_id": schedule_id, "due_at": due_at, "fired_at": now}
    ensure(db, FIRING, row | {"cause": _cause(due_at, now), "skipped_because": because})
    _go_on(db, schedule_id, _next_or_later(schedule, now))


def run_now(db: Connection, project_id: str, schedule_id: str, now: datetime) -> None:
    """Run a schedule by hand, also a paused one; its clock is not touched."""
    schedule = find(db, project_id, schedule_id, is_locked=True)
    if not _run(db, schedule, now, now, Cause.HAND):
        raise Conflict("it was run in this very moment")


def _lock_due(db: Connection, schedule_id: str, now: datetime) -> Row[Any] | None:
    return db.execute(
        select(SCHEDULE)
        .where(SCHEDULE.c.id == schedule_id, SCHEDULE.c.next_run_at <= now)
        .with_for_update(skip_locked=True)
    ).one_or_none()


def _cause(due_at: datetime, now: datetime) -> Cause:
    return Cause.CLOCK if now - due_at <= LATE else Cause.CATCH_UP


def _go_on(db: Connection, schedule_id: str, next_run_at: datetime | None) -> None:
    db.execute(update(SCHEDULE).where(SCHEDULE.c.id == schedule_id).values(next_run_at=next_run_at))


def _next_or_later(schedule: Row[Any], now: datetime) -> datetime | None:
    try:
        return clock_of(schedule).next_after(now)
    except UNKNOWN:
        # Another image may know the zone: the schedule is tried again, as long as it lasts.
        later = now + BLIND
        return None if schedule.end_at is not None and later > schedule.end_at else later


def _run(db: Connection, schedule: Row[Any], due_at: datetime, now: datetime, cause: Cause) -> bool:
    """Write the run down and let its jobs in; False if that time was run already."""
    row = {"schedule_id": schedule.id, "due_at": due_at, "fired_at": now, "cause": cause}
    last = _last_submitted(db, schedule.id)
    if not ensure(db, FIRING, row):
        return False
    is_open = last is not None and _is_open(db, last)
    if is_open and schedule.overlap == Overlap.SKIP:
        made = {"skipped_because": f"the run of {last.due_at:%Y-%m-%d %H:%M:%S} UTC is not over"}
    else:
        if is_open and schedule.overlap == Overlap.REPLACE:
            _cancel(db, schedule.project_id, last, now)
        made = _let_in(db, schedule, due_at, now)
    mine = FIRING.c.schedule_id == schedule.id, FIRING.c.due_at == due_at
    db.execute(update(FIRING).where(*mine).values(**made))
    return True


def _last_submitted(db: Connection, schedule_id: str) -> Any:
    runs = select(FIRING).where(
        FIRING.c.schedule_id == schedule_id, FIRING.c.skipped_because.is_(None)
    )
    return db.execute(runs.order_by(FIRING.c.due_at.desc()).limit(1)).one_or_none()


def _is_open(db: Connection, run: Row[Any]) -> bool:
    mine = JOB.c.id == run.job_id if run.batch_id is None else JOB.c.batch_id == run.batch_id
    return (
        db.execute(select(JOB.c.id).where(mine, JOB.c.state.in_(OPEN)).limit(1)).first() is not None
    )


def _cancel(db: Connection, project_id: str, run: Row[Any], now: datetime) -> None:
    # What was sent finishes, for it is paid.
    with suppress(Conflict):
        if run.batch_id is not None:
            # The beat carries it out, piece by piece.
            bulk.begin(db, run.batch_id, Bulk.CANCEL, now)
            return
        desk.cancel(db, project_id, run.job_id, now)


def _let_in(db: Connection, schedule: Row[Any], due_at: datetime, now: datetime) -> dict[str, str]:
    plan = Plan.of(schedule.plan)
    if plan.batch is None:
        (job_id,) = submit(db, plan.jobs, now, project_id=schedule.project_id)
        return {"job_id": job_id}
    batch_id = _open(db, schedule, plan, plan.batch, due_at, now)
    submit(db, plan.jobs, now, project_id=schedule.project_id, batch_id=batch_id)
    db.execute(update(BATCH).where(BATCH.c.id == batch_id).values(loaded_at=now))
    return {"batch_id": batch_id}


def _open(
    db: Connection,
    schedule: Row[Any],
    plan: Plan,
    batch: BatchPlan,
    due_at: datetime,
    now: datetime,
) -> str:
    wanted = NewBatch(
        name=f"{schedule.name or schedule.id} {due_at:%Y-%m-%d %H:%M:%S} {new_id()[-6:]}",
        fingerprint=schedule.id,
        size=len(plan.jobs),
        on_uncertain=batch.on_uncertain,
        about={"defaults": dict(batch.defaults), "credits_milli": plan.credits_milli},
        budget_milli=batch.budget_milli,
        priority=batch.priority,
        webhook_url=batch.webhook_url,
    )
    batch_id, _ = open_batch(db, wanted, now, project_id=schedule.project_id)
    return batch_id
