"""Schedules whose time has come are run."""

from datetime import datetime

from jobs.db import Database, is_away
from jobs.errors import DarkroomError
from jobs.schedules import firing
from jobs.telemetry import log


def run_due_schedules(database: Database) -> int:
    """Run what is due, each schedule in a transaction of its own; returns how many ran."""
    now = database.now()
    with database.reading() as db:
        due = firing.due_schedules(db, now)
    ran = 0
    for schedule_id in due:
        ran += run_or_leave_out(database, schedule_id, database.now())
    if ran:
        log.info("schedules_run", schedules=ran)
    return ran


def run_or_leave_out(database: Database, schedule_id: str, now: datetime) -> bool:
    """Run one; if that fails its time is left out with the reason, for others wait behind it."""
    try:
        with database.transaction() as db:
            return firing.fire(db, schedule_id, now)
    except Exception as error:
        if is_away(error):
            raise
        log.exception("schedule_failed", schedule=schedule_id)
        fault = str(error) if isinstance(error, DarkroomError) else type(error).__name__
    with database.transaction() as db:
        firing.leave_out(db, schedule_id, now, f"it could not be run: {fault}")
    return False
