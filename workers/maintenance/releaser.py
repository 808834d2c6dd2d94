"""Held jobs go on by themselves when what they were held for is back."""

from jobs.credentials import balances_to_spend
from jobs.db import Database
from jobs.queue import desk


def release_held_jobs(database: Database, credential_ids: tuple[str, ...]) -> int:
    """Queue what was held for funds or budget and may go on."""
    now = database.now()
    with database.transaction() as db:
        released = desk.release_budgeted(db, now)
        if balances := balances_to_spend(db, credential_ids):
            # A balance that nobody knows is tried.
            most = None if None in balances else max(filter(None, balances), default=0)
            released += desk.release_funded(db, now, most_milli=most)
    return released
