"""Stopped credentials are checked every minute: one that has credits pays again."""

from jobs import credentials
from jobs.balances import Teller, ask_balance
from jobs.catalog.operation import MILLI
from jobs.db import Database
from jobs.telemetry import log


def check_balances(database: Database, teller: Teller) -> None:
    """Ask for each stopped credential's balance; credits start it again."""
    with database.reading() as db:
        stopped = credentials.stopped_credentials(db)
    for credential_id in set(stopped) & set(teller.keyring.ids):
        milli = ask_balance(teller, credential_id)
        if milli is None:
            continue
        now = database.now()
        with database.transaction() as db:
            credentials.record_balance(db, credential_id, milli, now)
        teller.keyring.forget()
        log.info("balance_read", credential=credential_id, credits=milli / MILLI)
