"""Asks for a balance now and then: it costs nothing, and its answer tells how far the API is."""

import requests
from redis import RedisError
from sqlalchemy.exc import SQLAlchemyError

from jobs.balances import Teller
from jobs.credentials import record_balance
from jobs.errors import LimiterUnavailable
from jobs.presence import workers_there
from jobs.telemetry import log
from workers.resources import Resources

#: Between two questions with a credential, of which each costs a request of its rate: first until
#: the distance is known well, then now and then. Workers that share a credential take turns.
FIRST_SECONDS, LATER_SECONDS = 1.0, 60.0
#: Answers from which mean and deviation are known well.
ENOUGH = 8
#: What may be away; the distance is then what it was.
AWAY = (LimiterUnavailable, SQLAlchemyError, requests.RequestException)


def keep_range(r: Resources) -> None:
    """Learn the distance until the process ends, in a thread of its own."""
    while not r.ended.wait(seconds := pause(r)):
        # Polls tell it too, and for nothing.
        if r.distance.age >= 0.9 * seconds:
            try:
                find_range(r)
            except AWAY as error:
                log.debug("distance_unknown", error=type(error).__name__)


def pause(r: Resources) -> float:
    """Seconds until the next look."""
    seconds = FIRST_SECONDS if r.distance.answers < ENOUGH else LATER_SECONDS
    return seconds * max(1.0, sharers(r))


def sharers(r: Resources) -> float:
    """Workers for each credential; 1 while that is not known."""
    try:
        return len(workers_there(r.redis)) / max(1, len(r.keyring.ids))
    except (RedisError, SQLAlchemyError):
        return 1.0


def find_range(r: Resources) -> None:
    """Ask, learn from how long the answer took, and keep what it says."""
    awake = r.keyring.awake()
    told = awake and Teller(r.limiter, r.client, r.keyring, r.settings.freeze).ask(awake)
    if not told:
        return
    r.distance.learn(told.seconds)
    if (milli := told.milli) is not None:
        r.persist(lambda db, now: record_balance(db, told.credential_id, milli, now))
