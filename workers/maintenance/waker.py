"""Jobs that wait for others are started, or skipped, within a second of the others' end."""

from jobs.db import Database
from jobs.queue import waking
from jobs.telemetry import log

#: Looks in one go: a chain of skipped jobs takes one for each link, and the dispatcher waits.
MOST_LOOKS = 5


def wake_waiting_jobs(database: Database) -> int:
    """Tell jobs that the ones they need have ended; returns how many were started or skipped."""
    started = skipped = 0
    for _ in range(MOST_LOOKS):
        with database.reading() as db:
            if not waking.is_called(db):
                break
        now = database.now()
        with database.transaction() as db:
            look = waking.look(db, now)
        started += look.started
        skipped += look.skipped
        if not look.is_news:
            break
    if skipped:
        log.info("jobs_skipped", jobs=skipped)
    return started + skipped
