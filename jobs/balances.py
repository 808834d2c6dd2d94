"""What is left on the credentials: asked of the API, and kept in the database."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from http import HTTPStatus
from threading import Lock
from typing import Any

import requests
from sqlalchemy import Row

from jobs import figures
from jobs.catalog.operation import MILLI
from jobs.credentials import Keyring, record_balance
from jobs.db import Database
from jobs.errors import LimiterUnavailable
from jobs.limiter.permits import Limiter, NotNow, Permit
from jobs.stability.client import StabilityClient
from jobs.telemetry import log

#: How long an answer is good for, in seconds: each costs a request of the credential's rate.
FRESH_SECONDS = 60.0


@dataclass(frozen=True)
class Told:
    """An answer: the credits left in thousandths, None if it does not say; its status; and its
    seconds."""

    credential_id: str
    milli: int | None
    status: int
    seconds: float


@dataclass(frozen=True)
class Teller:
    """Asks the API for balances, each with a permit; safe to share between threads."""

    limiter: Limiter
    client: StabilityClient
    keyring: Keyring
    #: How long a credential rests after a 429.
    freeze: timedelta

    def ask(self, credential_ids: Sequence[str]) -> Told | None:
        """What is left on the one that may be asked first; None when none may be asked now.

        Raises LimiterUnavailable, and what requests raises.
        """
        permit = self.limiter.reserve(credential_ids)
        if isinstance(permit, NotNow):
            return None
        key = self.keyring.key(permit.credential_id)
        self.limiter.wait(permit)
        if key is None or not self.limiter.allows(permit):
            self.limiter.drop(permit)
            return None
        return self._ask(permit, key)

    def _ask(self, permit: Permit, key: str) -> Told:
        begun_at, answered_at = time.monotonic(), None
        try:
            answer = self.client.balance(key=key)
            answered_at = time.monotonic()
        finally:
            self.limiter.settle(permit, arrived_by=answered_at)
        if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            self.limiter.freeze(permit.credential_id, self.freeze)
            seconds = self.freeze.total_seconds()
            log.warning("balance_refused", credential=permit.credential_id, frozen_for=seconds)
        milli, seconds = read_balance(answer), answered_at - begun_at
        return Told(permit.credential_id, milli, answer.status_code, seconds)


class Balances:
    """Asks for the balances when somebody wants to know them; safe to share between threads."""

    def __init__(self, database: Database, teller: Teller) -> None:
        self._database = database
        self._teller = teller
        self._asking = Lock()
        self._asked_at = float("-inf")

    def known(self) -> list[Row[Any]]:
        """The credentials whose keys this process has, with the balances that were told last."""
        ids = self._teller.keyring.ids
        with self._database.reading() as db:
            return [row for row in figures.credentials(db) if row.id in ids]

    def total(self) -> int | None:
        """Thousandths of a credit left on all of these, a minute old at the most if the API
        answers; None while nothing is known of any."""
        # Whoever comes while another asks is told what is known, and waits for nobody.
        if self._asking.acquire(blocking=False):
            try:
                if time.monotonic() - self._asked_at >= FRESH_SECONDS:
                    self._ask()
            finally:
                self._asking.release()
        return figures.total_balance(self.known())

    def _ask(self) -> None:
        # Those that may ask for nothing are asked by the beat, which starts them again.
        for credential_id in self._teller.keyring.awake():
            milli = ask_balance(self._teller, credential_id)
            if milli is None:
                return
            with self._database.transaction() as db:
                record_balance(db, credential_id, milli, self._database.now())
        self._asked_at = time.monotonic()


def ask_balance(teller: Teller, credential_id: str) -> int | None:
    """The credits left in thousandths; None when the API does not say, or nobody may ask now."""
    try:
        told = teller.ask([credential_id])
    except (LimiterUnavailable, requests.RequestException):
        return None
    return None if told is None else told.milli


def read_balance(answer: requests.Response) -> int | None:
    """The credits of an answer in thousandths; None when it does not say."""
    if answer.status_code != HTTPStatus.OK:
        return None
    try:
        return int(Decimal(str(answer.json()["credits"])) * MILLI)
    except (requests.RequestException, InvalidOperation, KeyError, TypeError, ValueError):
        return None
