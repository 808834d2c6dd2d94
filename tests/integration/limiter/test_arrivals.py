"""What is told of arrivals: early ones with the next reservation, late ones at once."""

from datetime import timedelta

import pytest
import redis

from jobs.limiter.permits import HOLD, Limiter, Permit
from jobs.settings import Rate
from tests.integration.limiter.conftest import RATE, Hands
from tests.integration.limiter.slots import WINDOW, reserve

LATE = HOLD.total_seconds() + 0.7


@pytest.fixture
def other(fake: redis.Redis) -> Limiter:
    """What another process sees of the same credential."""
    return Limiter(fake, RATE)


def test_an_early_arrival_is_told_with_the_next_reservation(
    limiter: Limiter, other: Limiter, clock: Hands
) -> None:
    # Given a request that has arrived at its slot,
    permit = reserve(limiter)
    limiter.settle(permit, arrived_by=permit.at)

    # when its process reserves again,
    clock.turn(5.0)
    reserve(limiter)

    # then its slot ends a window after the arrival, for all.
    clock.turn(WINDOW - 5.0 + 0.001)
    assert other.look("a").used == 1


def test_an_early_arrival_that_is_never_told_only_keeps_its_slot_a_little_longer(
    limiter: Limiter, other: Limiter, clock: Hands
) -> None:
    permit = reserve(limiter)
    limiter.settle(permit, arrived_by=permit.at)

    clock.turn(WINDOW + 0.001)
    assert other.look("a").used == 1
    clock.turn(HOLD.total_seconds())
    assert other.look("a").used == 0


def test_a_late_arrival_is_told_at_once(limiter: Limiter, other: Limiter, clock: Hands) -> None:
    permit = reserve(limiter)
    clock.turn(LATE)

    limiter.settle(permit, arrived_by=permit.at + LATE)

    clock.turn(WINDOW - 0.001)
    assert other.look("a").used == 1
    clock.turn(0.002)
    assert other.look("a").used == 0


def test_a_slot_that_has_ended_does_not_come_back(
    limiter: Limiter, other: Limiter, clock: Hands
) -> None:
    # Given an arrival that nobody was told of,
    permit = reserve(limiter)
    limiter.settle(permit, arrived_by=permit.at + 0.3)

    # when it is told after its slot was forgotten, but before it would have ended by this news,
    clock.turn(WINDOW + 0.2)
    limiter.drop(permit)
    reserve(limiter)

    assert other.look("a").used == 1


def test_an_arrival_waits_for_a_reservation_with_its_own_credential(
    limiter: Limiter, other: Limiter, clock: Hands
) -> None:
    # Given requests of two credentials that have arrived,
    limiter.open("b", quiet=RATE.window)
    for credential in "ab":
        permit = reserve(limiter, credential)
        limiter.settle(permit, arrived_by=permit.at)

    # when one of them is asked for, and then the other,
    reserve(limiter, "a")
    reserve(limiter, "b")

    # then both first slots end a window after the arrivals.
    clock.turn(WINDOW + 0.001)
    assert (other.look("a").used, other.look("b").used) == (1, 1)


def test_a_permit_costs_two_calls_of_redis(real: redis.Redis) -> None:
    # Given a limiter that has been used before,
    limiter = Limiter(real, Rate(requests=1000, window=timedelta(seconds=1)))
    limiter.open("a", quiet=RATE.window)
    before = scripts_run(real)

    # when permits are used one after the other,
    for _ in range(20):
        permit = limiter.reserve(["a"])
        assert isinstance(permit, Permit)
        limiter.wait(permit)
        limiter.allows(permit)
        limiter.settle(permit, arrived_by=permit.at)

    assert scripts_run(real) - before == 40


def scripts_run(client: redis.Redis) -> int:
    """How many scripts the server has run."""
    stats = client.info("commandstats")
    return int(stats["cmdstat_evalsha"]["calls"])
