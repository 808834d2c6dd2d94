"""Expired leases back to the queue: how a job survives its worker."""

from datetime import timedelta

from jobs.db import Database
from jobs.identity import is_dead
from jobs.queue import leases
from jobs.telemetry import log


def rescue_lost_jobs(database: Database, poll_gap: timedelta) -> int:
    """Make jobs due whose lease ran out, or whose owner, on this machine, is surely dead."""
    with database.reading() as db:
        dead = [owner for owner in leases.owners(db) if is_dead(owner)]
    now = database.now()
    with database.transaction() as db:
        rescued = leases.rescue(db, now, dead=dead, poll_gap=poll_gap)
    if rescued:
        log.warning("jobs_rescued", jobs=rescued, dead_workers=len(dead))
    return rescued
