"""What is left on the credentials: asked of the API, and kept in the database."""

import time
from decimal import Decimal, InvalidOperation
from threading import Lock

import requests

from jobs import figures
from jobs.catalog.operation import MILLI
from jobs.credentials import Keyring, record_balance
from jobs.db import Database
from jobs.errors import LimiterUnavailable
from jobs.limiter.permits import Limiter, NotNow
from jobs.stability.client import StabilityClient

#: How long an answer is good for, in seconds: each costs a request of the credential's rate.
FRESH_SECONDS = 60.0


class Balances:
    """Asks for the balances when somebody wants to know them; safe to share between threads."""

    def __init__(
        self, database: Database, limiter: Limiter, keyring: Keyring, client: StabilityClient
    ) -> None:
        self._database = database
        self._limiter = limiter
        self._keyring = keyring
        self._client = client
        self._asking = Lock()
        self._asked_at = float("-inf")

    def total(self) -> int | None:
        """Thousandths of a credit left on all credentials, a minute old at the most if the API
        answers; None while nothing is known of any."""
        # Whoever comes while another asks is told what is known, and waits for nobody.
        if self._asking.acquire(blocking=False):
            try:
                if time.monotonic() - self._asked_at >= FRESH_SECONDS:
                    self._ask()
            finally:
                self._asking.release()
        with self._database.reading() as db:
            return figures.total_balance(figures.credentials(db))

    def _ask(self) -> None:
        # Those that are stopped are asked by a duty of the beat, which starts them again.
        for credential_id in self._keyring.awake():
            milli = ask_balance(self._limiter, self._client, self._keyring, credential_id)
            if milli is None:
                return
            with self._database.transaction() as db:
                record_balance(db, credential_id, milli, self._database.now())
        self._asked_at = time.monotonic()


def ask_balance(
    limiter: Limiter, client: StabilityClient, keyring: Keyring, credential_id: str
) -> int | None:
    """The credits left in thousandths; None when the API does not say, or nobody may ask now."""
    key = keyring.key(credential_id)
    assert key is not None
    answered_at = None
    try:
        permit = limiter.reserve([credential_id])
        if isinstance(permit, NotNow):
            return None
        limiter.wait(permit)
        if not limiter.allows(permit):
            limiter.drop(permit)
            return None
        try:
            answer = client.balance(key=key)
            answered_at = time.monotonic()
        finally:
            limiter.settle(permit, arrived_by=answered_at)
        return read_balance(answer)
    except (LimiterUnavailable, requests.RequestException):
        return None


def read_balance(answer: requests.Response) -> int | None:
    """The credits of an answer in thousandths; None when it does not say."""
    if answer.status_code != 200:
        return None
    try:
        return int(Decimal(str(answer.json()["credits"])) * MILLI)
    except (requests.RequestException, InvalidOperation, KeyError, TypeError, ValueError):
        return None
