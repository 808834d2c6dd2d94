"""Stopped credentials are checked every minute: one that has credits pays again."""

from jobs import credentials
from jobs.balances import ask_balance
from jobs.catalog.operation import MILLI
from jobs.credentials import Keyring
from jobs.db import Database
from jobs.limiter.permits import Limiter
from jobs.stability.client import StabilityClient
from jobs.telemetry import log


def check_balances(
    database: Database, limiter: Limiter, client: StabilityClient, keyring: Keyring
) -> None:
    """Ask for each stopped credential's balance; credits start it again."""
    with database.reading() as db:
        stopped = credentials.stopped_credentials(db)
    for credential_id in set(stopped) & set(keyring.ids):
        milli = ask_balance(limiter, client, keyring, credential_id)
        if milli is None:
            continue
        now = database.now()
        with database.transaction() as db:
            credentials.record_balance(db, credential_id, milli, now)
        keyring.forget()
        log.info("balance_read", credential=credential_id, credits=milli / MILLI)
