"""Balances are read, and stopped credentials checked, every minute."""

from decimal import Decimal, InvalidOperation

import requests

from jobs import credentials
from jobs.catalog.operation import MILLI
from jobs.credentials import Keyring
from jobs.db import Database
from jobs.errors import LimiterUnavailable
from jobs.limiter.permits import Limiter, NotNow
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


def ask_balance(
    limiter: Limiter, client: StabilityClient, keyring: Keyring, credential_id: str
) -> int | None:
    """The credits left in thousandths; None when the API does not say, or no permit is near."""
    key = keyring.key(credential_id)
    assert key is not None
    try:
        permit = limiter.reserve([credential_id])
        if isinstance(permit, NotNow):
            return None
        limiter.wait(permit)
        answer = client.balance(key=key)
        if answer.status_code != 200:
            return None
        return int(Decimal(str(answer.json()["credits"])) * MILLI)
    except (LimiterUnavailable, requests.RequestException, InvalidOperation, KeyError, TypeError):
        return None
