"""What was begun for all jobs of a batch is finished, though its caller was cut off."""

from jobs import batches
from jobs.db import Database
from jobs.queue import bulk, deadlines


def finish_begun(database: Database) -> int:
    """Do one piece of each verb that is under way; returns how many jobs were changed."""
    with database.reading() as db:
        begun = bulk.unfinished(db)
    changed = 0
    for batch_id in begun:
        now = database.now()
        with database.transaction() as db:
            changed += bulk.go_on(db, batch_id, now).changed
    return changed


def keep_deadlines(database: Database) -> int:
    """Fail what was not started in time, a piece at a time; returns how many jobs that were."""
    now = database.now()
    with database.transaction() as db:
        return deadlines.expire_unstarted(db, now)


def forget_fronts(database: Database) -> None:
    """Let go of batches that were moved to the front and are started."""
    with database.transaction() as db:
        batches.forget_fronts(db)
