"""Forgets what nobody will ask for: what was sent for old uploads, and old fetches."""

from sqlalchemy.exc import SQLAlchemyError

from jobs.errors import StorageError
from jobs.fetches import forget_fetches
from jobs.telemetry import log
from workers.resources import Resources

EVERY_SECONDS = 600.0


def keep_forgetting(r: Resources) -> None:
    """Now and then until the process ends, in a thread of its own: a bucket may be slow."""
    while True:
        try:
            forget_inputs(r)
        except (StorageError, SQLAlchemyError) as error:
            log.warning("forgetting_failed", error=type(error).__name__)
        if r.ended.wait(EVERY_SECONDS):
            return


def forget_inputs(r: Resources) -> int:
    """Forget what is old by now; returns how many uploads and fetches it was."""
    forgotten = forget_fetches(r.database)
    while not r.ended.is_set() and (few := r.uploads.forget()):
        forgotten += few
    return forgotten
