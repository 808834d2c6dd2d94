"""The server's clock is set: nobody waits for what it called the future, and none exceeds the rate.

Times are true: those of a clock that nobody sets.
"""

from datetime import timedelta

import pytest
import redis
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from jobs.limiter.permits import Limiter, NotNow, Permit
from tests.integration.limiter.conftest import RATE, Hands
from tests.integration.limiter.slots import (
    NEAR,
    WINDOW,
    most_in_a_window,
    reserve,
    slots_of,
)

HOUR = 3600.0
NOTHING = timedelta(0)
MINUTE = timedelta(seconds=60)


@pytest.mark.parametrize("back", [-1.1, -WINDOW, -HOUR, -24 * HOUR])
def test_a_clock_that_is_set_back_costs_a_window(
    limiter: Limiter, clock: Hands, back: float
) -> None:
    # Given slots of both kinds, some of them ahead,
    limiter.reserve(["a"], is_urgent=True)
    slots_of(limiter, RATE.requests)

    clock.set_server(back)

    # then nothing is granted for a window, and after it all of the rate.
    assert limiter.reserve(["a"]) == NotNow(RATE.window)
    clock.turn(WINDOW)
    slots = slots_of(limiter, RATE.requests)
    assert slots[0] == pytest.approx(clock.seconds, abs=NEAR)
    assert most_in_a_window(slots) == RATE.requests


def test_a_clock_that_is_set_back_by_very_little_is_waited_for(
    limiter: Limiter, clock: Hands
) -> None:
    used = reserve(limiter).at

    clock.set_server(-0.5)

    assert reserve(limiter).at == pytest.approx(used + 1.0, abs=NEAR)


@pytest.mark.parametrize(("passed", "left"), [(20.0, 40.0), (100.0, 0.0)])
def test_a_clock_that_is_set_back_neither_ends_nor_lengthens_a_freeze(
    limiter: Limiter, fake: redis.Redis, clock: Hands, passed: float, left: float
) -> None:
    limiter.freeze("a", MINUTE)
    clock.turn(passed)
    limiter.look("a")

    clock.set_server(-HOUR)

    assert Limiter(fake, RATE).look("a").frozen == timedelta(seconds=left)


def test_every_credential_gets_over_it(limiter: Limiter, clock: Hands) -> None:
    limiter.open("b", quiet=RATE.window)
    for _ in range(4):
        reserve(limiter, "a", "b")

    clock.set_server(-HOUR)

    assert limiter.reserve(["a", "b"]) == NotNow(RATE.window)
    clock.turn(WINDOW)
    assert {reserve(limiter, "a", "b").credential_id for _ in range(2)} == {"a", "b"}


@pytest.mark.parametrize("step", [-HOUR, -1.1, 1.0, WINDOW, HOUR])
def test_a_permit_of_the_clock_as_it_was_is_not_good(
    limiter: Limiter, clock: Hands, step: float
) -> None:
    permit = reserve(limiter)
    assert limiter.allows(permit)

    clock.set_server(step)

    assert not limiter.allows(permit)


def test_a_clock_that_is_set_forward_looks_like_idleness(limiter: Limiter, clock: Hands) -> None:
    # Given a window that is full, and slots that are waited for,
    slots = [use(limiter, clock) for _ in range(RATE.requests)]
    waiting = [limiter.reserve(["a"]) for _ in range(5)]

    clock.set_server(HOUR)

    # then nobody has room beside those who ask now, but for one more in the same window.
    assert not any(limiter.allows(one) for one in waiting if isinstance(one, Permit))
    slots += [use(limiter, clock) for _ in range(2 * RATE.requests)]
    assert most_in_a_window(slots) <= RATE.requests + 1


def use(limiter: Limiter, clock: Hands) -> float:
    """Wait for a slot and use it; when that was."""
    permit = reserve(limiter)
    limiter.wait(permit)
    assert limiter.allows(permit)
    limiter.settle(permit, arrived_by=clock.seconds)
    return clock.seconds


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["send", "urgent", "ask", "pass"]), st.integers(1, 12)),
        st.tuples(st.just("back"), st.sampled_from([0.3, 0.99, 1.01, 3.0, WINDOW, HOUR])),
    ),
    min_size=5,
    max_size=40,
)


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS)
@example(steps=[("send", 12), ("send", 12), ("back", HOUR), ("send", 12)])
def test_however_often_the_clock_is_set_back_no_window_holds_more_than_the_limit(
    fake: redis.Redis, clock: Hands, steps: list[tuple[str, float]]
) -> None:
    fake.flushall()
    limiter = Limiter(fake, RATE)
    limiter.open("a", quiet=RATE.window)
    waiting: list[Permit] = []
    arrivals: list[float] = []

    for verb, number in steps:
        if verb == "back":
            clock.set_server(-number)
            continue
        for _ in range(round(number)):
            permit = limiter.reserve(["a"], is_urgent=verb == "urgent")
            waiting += [permit] if isinstance(permit, Permit) else []
            if verb == "pass" or not waiting:
                clock.turn(0.3)
            elif verb != "ask":
                arrivals += arrive(limiter, clock, waiting.pop(0))

    assert not arrivals or most_in_a_window(arrivals) <= RATE.requests


def arrive(limiter: Limiter, clock: Hands, permit: Permit) -> list[float]:
    """When a request arrived, if it may be sent at all."""
    limiter.wait(permit)
    if not limiter.allows(permit):
        limiter.drop(permit)
        return []
    limiter.settle(permit, arrived_by=clock.seconds)
    return [clock.seconds]
