"""Held jobs go on by themselves when what they were held for is back."""

from jobs.credentials import stopped_credentials
from jobs.db import Database
from jobs.queue import desk


def release_held_jobs(database: Database, credential_ids: tuple[str, ...]) -> int:
    """Queue what was held for funds or budget and may go on."""
    now = database.now()
    with database.transaction() as db:
        released = desk.release_budgeted(db, now)
        if set(credential_ids) - set(stopped_credentials(db)):
            released += desk.release_funded(db, now)
    return released
