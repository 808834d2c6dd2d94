"""Whom a 401 or 402 of a path that nobody knows concerns: the key, or the job alone.

A beta may be closed to a key that is good, and a price may be higher than its job states: to stop
the key for that would stop all jobs, and again whenever its balance lets it go on.
"""

from datetime import timedelta
from http import HTTPStatus

import requests

from jobs import backoff
from jobs.balances import Teller, Told
from jobs.credentials import NO_FUNDS
from jobs.errors import JobError, LimiterUnavailable
from jobs.outcomes import TryAgain
from jobs.queue.moves import Claim
from workers.resources import Resources

#: How long a job waits if the balance was not told.
UNTOLD_DELAY = timedelta(seconds=60)


def blame_job(r: Resources, claim: Claim, reason: str, error: JobError) -> TryAgain | None:
    """What the refusal comes to if the job alone is to blame; None if its key is."""
    told = ask(r, claim)
    if told is not None and is_to_blame(told, claim, reason):
        return None
    if told is None or told.milli is None:
        return TryAgain(error, UNTOLD_DELAY, spends_try=False)
    return TryAgain(error, backoff.delay(claim.refusals))


def is_to_blame(told: Told, claim: Claim, reason: str) -> bool:
    """Whether the key was refused for its balance too, or has less than the job states."""
    if told.milli is None:
        return told.status == HTTPStatus.UNAUTHORIZED
    return reason == NO_FUNDS and told.milli < claim.estimated_milli


def ask(r: Resources, claim: Claim) -> Told | None:
    """The balance of the key that was refused; None if nobody may ask now, or nobody answers."""
    assert claim.credential_id is not None
    teller = Teller(r.limiter, r.client, r.keyring, r.settings.freeze)
    try:
        return teller.ask([claim.credential_id])
    except (LimiterUnavailable, requests.RequestException):
        return None
