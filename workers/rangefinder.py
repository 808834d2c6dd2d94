"""Asks for a balance now and then: it costs nothing, and its answer tells how far the API is."""

import time

import requests
from redis import RedisError
from sqlalchemy.exc import SQLAlchemyError

from jobs.balances import read_balance
from jobs.credentials import record_balance
from jobs.errors import LimiterUnavailable
from jobs.limiter.permits import NotNow
from jobs.telemetry import log
from workers.resources import Resources

#: Between two questions of all workers together; each costs a request of the rate.
EVERY_SECONDS = 60.0
#: What may be away; the distance is then what it was.
AWAY = (LimiterUnavailable, RedisError, SQLAlchemyError, requests.RequestException)
#: Who asks; the others read what was found.
TURN, FOUND = "darkroom:distance:turn", "darkroom:distance:found"


def keep_range(r: Resources) -> None:
    """Learn the distance until the process ends, in a thread of its own."""
    while True:
        try:
            find_range(r)
        except (
            LimiterUnavailable,
            RedisError,
            SQLAlchemyError,
            requests.RequestException,
        ) as error:
            log.debug("distance_unknown", error=type(error).__name__)
        if r.ended.wait(EVERY_SECONDS if r.distance.age < EVERY_SECONDS else 1.0):
            return


def find_range(r: Resources) -> None:
    """Ask, if it is our turn and nothing was learned lately; else take what another found."""
    if r.distance.age < EVERY_SECONDS:
        return
    found = r.redis.get(FOUND)
    if isinstance(found, bytes):
        r.distance.learn(float(found))
    elif r.redis.set(TURN, r.owner, nx=True, ex=int(EVERY_SECONDS / 10)):
        seconds = ask(r)
        if seconds is not None:
            r.distance.learn(seconds)
            r.redis.set(FOUND, repr(seconds), ex=int(EVERY_SECONDS))


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
