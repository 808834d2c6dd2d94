"""Slots of the tests' credential, and what a window of the API would hold of them."""

from datetime import timedelta

from jobs.limiter.permits import Limiter, Permit
from tests.integration.limiter.conftest import RATE

HOURS = timedelta(hours=2)
WINDOW = RATE.window.total_seconds()
#: The script counts whole microseconds. To be given for every moment: what `approx` allows by
#: itself is a millionth, which is half an hour of the seconds since 1970.
NEAR = 1e-5


def slots_of(limiter: Limiter, number: int, longest: timedelta = HOURS) -> list[float]:
    """The times of so many slots that are reserved at once."""
    permits = [limiter.reserve(["a"], longest=longest) for _ in range(number)]
    return [permit.at for permit in permits if isinstance(permit, Permit)]


def reserve(limiter: Limiter, *credentials: str) -> Permit:
    """A slot that is surely to be had."""
    permit = limiter.reserve(credentials or ["a"], longest=HOURS)
    assert isinstance(permit, Permit)
    return permit


def most_in_a_window(times: list[float]) -> int:
    """The largest number of times in any half-open window of the rate."""
    ordered = sorted(times)
    return max(sum(start <= t < start + WINDOW - 1e-6 for t in ordered) for start in ordered)
