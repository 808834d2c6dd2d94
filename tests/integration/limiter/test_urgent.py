"""Urgent work has a share of the rate while it keeps coming, and nobody is starved."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.limiter.permits import Limiter, Permit
from tests.integration.limiter.conftest import RATE, Hands
from tests.integration.limiter.slots import HOURS, NEAR, WINDOW, most_in_a_window, slots_of

SPACING = WINDOW / RATE.requests
#: Of the 20 requests in 10 s.
TENTH = 2
TICK = 0.05


@dataclass(frozen=True)
class Grant:
    """A slot that somebody got."""

    at: float
    is_urgent: bool


def ask(limiter: Limiter, *, is_urgent: bool) -> Grant | None:
    """A slot within the usual patience, for a request that arrives at once."""
    permit = limiter.reserve(["a"], is_urgent=is_urgent)
    if not isinstance(permit, Permit):
        return None
    limiter.settle(permit, arrived_by=permit.at)
    return Grant(permit.at, is_urgent)


def asked_for_everything(
    limiter: Limiter, clock: Hands, first: bool, *, windows: float
) -> Iterator[Grant]:
    """At each moment both kinds ask for all they can get, one kind before the other.

    What is granted as time begins is urgent, as it is wherever urgent work keeps coming.
    """
    end = clock.seconds + windows * WINDOW
    opening = ask(limiter, is_urgent=True)
    assert opening is not None
    yield opening
    while clock.seconds < end:
        for is_urgent in (first, not first):
            while (grant := ask(limiter, is_urgent=is_urgent)) is not None:
                yield grant
        clock.turn(TICK)


def times(grants: Iterable[Grant], *, is_urgent: bool) -> list[float]:
    """When the slots of one kind are."""
    return [grant.at for grant in grants if grant.is_urgent == is_urgent]


def test_without_urgent_work_the_rest_uses_all_of_the_rate(limiter: Limiter) -> None:
    slots = slots_of(limiter, 2 * RATE.requests)

    assert most_in_a_window(slots) == RATE.requests


def test_after_urgent_work_the_rest_leaves_a_tenth(limiter: Limiter) -> None:
    assert ask(limiter, is_urgent=True)

    slots = slots_of(limiter, 2 * RATE.requests)

    assert most_in_a_window(slots) == RATE.requests - TENTH


def test_what_urgent_work_no_longer_wants_is_used_again(limiter: Limiter, clock: Hands) -> None:
    assert ask(limiter, is_urgent=True)

    clock.turn(WINDOW + 0.001)

    assert most_in_a_window(slots_of(limiter, 2 * RATE.requests)) == RATE.requests


def test_urgent_work_waits_for_the_next_slot_and_no_longer(limiter: Limiter, clock: Hands) -> None:
    # Given bulk that waits for two slots,
    bulk = slots_of(limiter, 2)

    grant = ask(limiter, is_urgent=True)

    assert grant is not None
    assert grant.at == pytest.approx(bulk[-1] + SPACING, abs=NEAR)


def test_urgent_work_has_its_tenth_beside_bulk_that_takes_whatever_it_gets(
    limiter: Limiter, clock: Hands
) -> None:
    began = clock.seconds

    grants = list(asked_for_everything(limiter, clock, False, windows=6))

    urgent, bulk = times(grants, is_urgent=True), times(grants, is_urgent=False)
    for number in range(1, 5):
        start = began + number * WINDOW
        assert sum(start <= at < start + WINDOW for at in urgent) >= TENTH
    assert most_in_a_window(bulk) <= RATE.requests - TENTH
    assert most_in_a_window(urgent + bulk) == RATE.requests


def test_bulk_that_waits_for_its_turn_is_not_starved_by_urgent_callers(
    limiter: Limiter, clock: Hands
) -> None:
    # Given five urgent callers and one other, who ask again whenever their slot has come,
    due = dict.fromkeys(range(6), clock.seconds)
    came = dict.fromkeys(due, 0)

    for _ in range(120):
        caller = min(due, key=lambda one: due[one])
        clock.turn(max(0.0, due[caller] - clock.seconds))
        grant = ask(limiter, is_urgent=caller > 0)
        assert grant is not None
        due[caller] = grant.at
        came[caller] += 1

    # then it had as many turns as they, but for one that is under way.
    assert came[0] >= 19


def test_a_share_of_nothing_leaves_nothing(fake: redis.Redis) -> None:
    limiter = Limiter(fake, RATE, urgent_share=0.0)
    limiter.open("a", quiet=RATE.window)
    assert ask(limiter, is_urgent=True)

    # The urgent one is in the first window, too.
    assert most_in_a_window(slots_of(limiter, 2 * RATE.requests)) == RATE.requests


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    asking=st.lists(st.tuples(st.booleans(), st.floats(0.0, 1.5)), min_size=1, max_size=150),
    share=st.sampled_from([0.0, 0.1, 0.5, 0.9]),
)
def test_whoever_asks_no_window_holds_more_than_the_limit(
    fake: redis.Redis, clock: Hands, asking: list[tuple[bool, float]], share: float
) -> None:
    fake.flushall()
    limiter = Limiter(fake, RATE, urgent_share=share)
    limiter.open("a", quiet=RATE.window)
    slots = []

    for is_urgent, seconds in asking:
        permit = limiter.reserve(["a"], longest=HOURS, is_urgent=is_urgent)
        assert isinstance(permit, Permit), "everybody's turn comes"
        limiter.settle(permit, arrived_by=permit.at)
        slots.append(permit.at)
        clock.turn(seconds)

    assert most_in_a_window(slots) <= RATE.requests
