"""Schedules whose time has come are run."""

from jobs.db import Database
from jobs.schedules import firing
from jobs.telemetry import log


def run_due_schedules(database: Database) -> int:
    """Run what is due, each schedule in a transaction of its own; returns how many ran."""
    now = database.now()
    with database.reading() as db:
        due = firing.due_schedules(db, now)
    ran = 0
    for schedule_id in due:
        now = database.now()
        with database.transaction() as db:
            ran += firing.fire(db, schedule_id, now)
    if ran:
        log.info("schedules_run", schedules=ran)
    return ran
