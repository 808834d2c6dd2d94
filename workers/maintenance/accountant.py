"""Stopped credentials are checked every minute: one that has credits pays again."""

from threading import Event, Thread

from sqlalchemy.exc import SQLAlchemyError

from jobs import credentials
from jobs.balances import Teller, ask_balance
from jobs.catalog.operation import MILLI
from jobs.db import Database
from jobs.queue import desk
from jobs.telemetry import log


class Accountant:
    """One process's checks, in a thread of their own: an answer may take half a minute."""

    def __init__(self, database: Database, teller: Teller, every_seconds: float) -> None:
        self._database = database
        self._teller = teller
        self._every_seconds = every_seconds

    def start(self, stopping: Event) -> None:
        """Begin, in the background."""
        Thread(target=self.run, args=(stopping,), name="accountant", daemon=True).start()

    def run(self, stopping: Event) -> None:
        """Check now and then until told to stop, whatever a check meets."""
        while not stopping.is_set():
            try:
                check_balances(self._database, self._teller)
            except SQLAlchemyError as error:
                log.warning("balances_away", error=type(error).__name__)
            except Exception:
                log.exception("balances_failed")
            stopping.wait(self._every_seconds)


def check_balances(database: Database, teller: Teller) -> None:
    """Ask for the balance of each credential that a refusal stopped; credits start it again.

    While jobs are held for funds the others are asked, too: they may have enough by now.
    """
    with database.reading() as db:
        stopped = credentials.stopped_credentials(db)
        is_wanted = desk.awaits_funds(db)
    by_hand = {i for i, reason in stopped.items() if reason == credentials.BY_HAND}
    asked = teller.keyring.ids if is_wanted else stopped
    for credential_id in set(asked).intersection(teller.keyring.ids) - by_hand:
        milli = ask_balance(teller, credential_id)
        if milli is None:
            continue
        now = database.now()
        with database.transaction() as db:
            credentials.record_balance(db, credential_id, milli, now)
        teller.keyring.forget()
        log.info("balance_read", credential=credential_id, credits=milli / MILLI)
