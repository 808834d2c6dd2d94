"""Asks for a balance now and then: it costs nothing, and its answer tells how far the API is."""

import time

import requests
from sqlalchemy.exc import SQLAlchemyError

from jobs.balances import read_balance
from jobs.credentials import record_balance
from jobs.errors import LimiterUnavailable
from jobs.limiter.permits import NotNow
from jobs.telemetry import log
from workers.resources import Resources

#: Between two questions of a worker, of which each costs a request of the rate: first until the
#: distance is known well, then now and then.
FIRST_SECONDS, LATER_SECONDS = 1.0, 60.0
#: Answers from which mean and deviation are known well.
ENOUGH = 8
#: What may be away; the distance is then what it was.
AWAY = (LimiterUnavailable, SQLAlchemyError, requests.RequestException)


def keep_range(r: Resources) -> None:
    """Learn the distance until the process ends, in a thread of its own."""
    while not r.ended.wait(pause(r)):
        # Polls tell it too, and for nothing.
        if r.distance.age >= 0.9 * pause(r):
            try:
                find_range(r)
            except AWAY as error:
                log.debug("distance_unknown", error=type(error).__name__)


def pause(r: Resources) -> float:
    """Seconds until the next look."""
    return FIRST_SECONDS if r.distance.answers < ENOUGH else LATER_SECONDS


def find_range(r: Resources) -> None:
    """Ask, and learn from how long the answer took."""
    seconds = ask(r)
    if seconds is not None:
        r.distance.learn(seconds)


def ask(r: Resources) -> float | None:
    """The seconds that an answer took; None when nobody may ask now."""
    awake = r.keyring.awake()
    if not awake:
        return None
    permit = r.limiter.reserve(awake)
    if isinstance(permit, NotNow):
        return None
    key = r.keyring.key(permit.credential_id)
    r.limiter.wait(permit)
    if key is None or not r.limiter.allows(permit):
        r.limiter.drop(permit)
        return None
    begun_at, answered_at = time.monotonic(), None
    try:
        answer = r.client.balance(key=key)
        answered_at = time.monotonic()
    finally:
        r.limiter.settle(permit, arrived_by=answered_at)
    milli = read_balance(answer)
    if milli is not None:
        r.persist(lambda db, now: record_balance(db, permit.credential_id, milli, now))
    return answered_at - begun_at
