"""The rules of the limiter, with a clock that the tests turn."""

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.limiter.permits import HOLD, LONGEST, PUNCTUAL, REACH, Gauge, Limiter, NotNow, Permit
from jobs.limiter.permits import reach as reach_after
from tests.integration.limiter.conftest import RATE, Hands
from tests.integration.limiter.slots import NEAR, WINDOW, most_in_a_window, reserve, slots_of

NOTHING = timedelta(0)
MINUTE = timedelta(seconds=60)
SPACING = RATE.window / RATE.requests


def test_slots_come_in_order_and_evenly_spaced(limiter: Limiter, clock: Hands) -> None:
    slots = slots_of(limiter, RATE.requests)

    assert slots[0] == pytest.approx(clock.seconds, abs=NEAR)
    gaps = [after - before for before, after in pairwise(slots)]
    assert gaps == pytest.approx([SPACING.total_seconds()] * (RATE.requests - 1), abs=NEAR)


def test_no_window_holds_more_than_the_limit(limiter: Limiter) -> None:
    slots = slots_of(limiter, 5 * RATE.requests)

    assert len(slots) == 5 * RATE.requests
    assert most_in_a_window(slots) <= RATE.requests
    # Without news of arrivals each slot is held a little longer than the window.
    assert slots[RATE.requests] - slots[0] == pytest.approx(WINDOW + HOLD.total_seconds())


def test_a_slot_is_no_sooner_than_its_caller_can_be_ready(limiter: Limiter, clock: Hands) -> None:
    permit = limiter.reserve(["a"], ready_in=0.8)

    assert isinstance(permit, Permit)
    assert permit.at == pytest.approx(clock.seconds + 0.8, abs=NEAR)


def test_whoever_waits_for_a_slot_anyway_gets_ready_meanwhile(
    limiter: Limiter, clock: Hands
) -> None:
    taken = slots_of(limiter, 4)

    permit = limiter.reserve(["a"], ready_in=0.8)

    assert isinstance(permit, Permit)
    assert permit.at == pytest.approx(taken[-1] + SPACING.total_seconds(), abs=NEAR)


def test_a_slot_that_is_too_far_away_is_not_reserved(limiter: Limiter, clock: Hands) -> None:
    taken = slots_of(limiter, 50, longest=LONGEST)
    refused = limiter.reserve(["a"])
    used = limiter.look("a").used

    assert isinstance(refused, NotNow)
    assert used == len(taken) == LONGEST // SPACING + 1
    clock.turn(refused.wait.total_seconds() - LONGEST.total_seconds() + 0.001)
    assert isinstance(limiter.reserve(["a"]), Permit)


def test_a_look_tells_how_far_away_the_next_slot_is(limiter: Limiter, clock: Hands) -> None:
    assert limiter.look("a").free == NOTHING

    taken = slots_of(limiter, RATE.requests)

    free = limiter.look("a").free.total_seconds()
    assert free == pytest.approx(reserve(limiter).at - clock.seconds, abs=NEAR)
    assert free == pytest.approx(WINDOW + HOLD.total_seconds() + taken[0] - clock.seconds, abs=NEAR)


def test_a_dropped_slot_returns(limiter: Limiter) -> None:
    permits = [reserve(limiter) for _ in range(RATE.requests)]
    for permit in permits[10:]:
        limiter.drop(permit)

    assert limiter.look("a").used == 10
    assert len(slots_of(limiter, 10, longest=RATE.window * 1.5)) == 10


def test_the_slot_of_a_dead_caller_returns_by_itself(limiter: Limiter, clock: Hands) -> None:
    slots_of(limiter, RATE.requests)

    clock.turn(2 * WINDOW + HOLD.total_seconds())

    assert limiter.look("a").used == 0
    assert reserve(limiter).at == pytest.approx(clock.seconds, abs=NEAR)


@pytest.mark.parametrize(
    "late", [-0.4, 0.0, 0.7, 5.0], ids=["early", "as assumed", "late", "very late"]
)
def test_a_slot_counts_for_a_window_from_the_arrival(
    limiter: Limiter, clock: Hands, late: float
) -> None:
    first, *_ = [reserve(limiter) for _ in range(RATE.requests)]
    arrived_by = first.at + HOLD.total_seconds() + late
    clock.turn(8.0)

    limiter.settle(first, arrived_by=arrived_by)

    # A later arrival leaves the second slot as the first to end.
    second = first.at + SPACING.total_seconds() + HOLD.total_seconds()
    expected = WINDOW + min(arrived_by, second)
    assert reserve(limiter).at == pytest.approx(expected, abs=1e-4)


def test_a_request_of_which_nothing_is_known_counts_from_now(
    limiter: Limiter, clock: Hands
) -> None:
    permit = reserve(limiter)
    clock.turn(30.0)
    assert limiter.look("a").used == 0

    limiter.settle(permit, arrived_by=None)

    assert limiter.look("a").used == 1
    clock.turn(WINDOW + 0.001)
    assert limiter.look("a").used == 0


def test_a_permit_is_good_for_a_short_time(limiter: Limiter, clock: Hands) -> None:
    permit = reserve(limiter)

    clock.turn(PUNCTUAL.total_seconds() - 0.001)
    assert limiter.allows(permit)
    clock.turn(0.002)
    assert not limiter.allows(permit)


def test_a_permit_that_grew_old_while_redis_was_asked_is_not_good(
    limiter: Limiter, clock: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    permit = reserve(limiter)
    ask = limiter._run

    def ask_slowly(*args: Any) -> Any:
        clock.turn(2.0)
        return ask(*args)

    monkeypatch.setattr(limiter, "_run", ask_slowly)

    assert not limiter.allows(permit)


def test_waiting_ends_at_the_slot(limiter: Limiter, clock: Hands) -> None:
    reserve(limiter)
    permit = reserve(limiter)

    limiter.wait(permit)

    assert clock.seconds == pytest.approx(permit.at, abs=NEAR)


def test_a_freeze_stops_every_caller_and_thaws(
    limiter: Limiter, fake: redis.Redis, clock: Hands
) -> None:
    another = Limiter(fake, RATE)
    mine, theirs = reserve(limiter), reserve(another)

    limiter.freeze("a", MINUTE)

    assert not limiter.allows(mine)
    assert not another.allows(theirs)
    assert another.reserve(["a"]) == NotNow(MINUTE)
    assert another.look("a").frozen == MINUTE
    clock.turn(60.0)
    assert isinstance(another.reserve(["a"]), Permit)


def test_a_second_freeze_does_not_shorten_the_first(limiter: Limiter) -> None:
    limiter.freeze("a", MINUTE)
    limiter.freeze("a", timedelta(seconds=5))

    assert limiter.look("a").frozen == MINUTE


def test_a_freeze_leaves_other_credentials_alone(limiter: Limiter) -> None:
    limiter.open("b", quiet=RATE.window)
    limiter.freeze("a", MINUTE)

    assert reserve(limiter, "a", "b").credential_id == "b"


def test_after_a_freeze_a_little_of_the_rate_stays_unused_for_a_while(
    limiter: Limiter, clock: Hands
) -> None:
    limiter.freeze("a", MINUTE)
    # The answers of requests that were on their way tell the same, and count once.
    limiter.freeze("a", MINUTE)
    clock.turn(60.0)
    slots = slots_of(limiter, 2 * RATE.requests)

    assert most_in_a_window(slots) == RATE.requests - 1
    clock.turn(2 * 3600.0)
    assert most_in_a_window(slots_of(limiter, 2 * RATE.requests)) == RATE.requests


def test_an_unknown_history_grants_nothing_for_a_window(fake: redis.Redis, clock: Hands) -> None:
    limiter = Limiter(fake, RATE)

    assert limiter.reserve(["a"]) == NotNow(RATE.window)
    assert limiter.look("a") == Gauge(0, NOTHING, RATE.window, RATE.window)
    clock.turn(WINDOW)
    assert isinstance(limiter.reserve(["a"]), Permit)


def test_a_server_that_forgot_everything_grants_nothing_for_a_window(
    limiter: Limiter, fake: redis.Redis
) -> None:
    slots_of(limiter, 3)

    fake.flushall()

    assert limiter.reserve(["a"]) == NotNow(RATE.window)


def test_a_look_begins_the_window_of_an_unknown_history(fake: redis.Redis, clock: Hands) -> None:
    limiter = Limiter(fake, RATE)
    limiter.look("a")

    clock.turn(WINDOW)

    assert limiter.look("a").opens == NOTHING


@pytest.mark.parametrize(
    ("quiet", "rest"), [(0.0, WINDOW), (4.0, WINDOW - 4.0), (WINDOW, 0.0), (3600.0, 0.0)]
)
def test_a_known_quiet_time_opens_sooner(fake: redis.Redis, quiet: float, rest: float) -> None:
    limiter = Limiter(fake, RATE)

    limiter.open("a", quiet=timedelta(seconds=quiet))

    assert limiter.look("a").opens == timedelta(seconds=rest)


def test_what_is_open_is_not_opened_again(limiter: Limiter, fake: redis.Redis) -> None:
    Limiter(fake, RATE).open("a", quiet=NOTHING)

    assert limiter.look("a").opens == NOTHING


def test_several_credentials_add_up(limiter: Limiter) -> None:
    limiter.open("b", quiet=RATE.window)
    permits = [reserve(limiter, "a", "b") for _ in range(2 * RATE.requests)]

    by_credential = {
        name: [permit.at for permit in permits if permit.credential_id == name] for name in "ab"
    }
    assert {name: len(times) for name, times in by_credential.items()} == {"a": 20, "b": 20}
    assert max(permit.at for permit in permits) < min(permit.at for permit in permits) + WINDOW


def test_midnight_is_a_moment_like_any_other(limiter: Limiter, clock: Hands) -> None:
    slots = slots_of(limiter, RATE.requests)
    clock.turn(9.0)
    slots += slots_of(limiter, RATE.requests)

    assert slots == sorted(slots)
    assert most_in_a_window(slots) <= RATE.requests


def test_a_slow_handshake_lengthens_the_way() -> None:
    near, far = 0.01, 0.9
    assert reach_after(0.0, near) == REACH.total_seconds()
    assert reach_after(1.0, near) == REACH.total_seconds() + 0.5
    assert reach_after(0.0, far) == far


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "urgent", "settle", "drop", "pass"]),
        st.floats(0.0, 3.0),
        st.integers(0),
    ),
    max_size=120,
)


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS)
def test_whatever_happens_no_window_holds_more_arrivals_than_the_limit(
    fake: redis.Redis, clock: Hands, steps: list[tuple[str, float, int]]
) -> None:
    fake.flushall()
    limiter = Limiter(fake, RATE)
    limiter.open("a", quiet=RATE.window)
    waiting: list[Permit] = []
    arrivals: list[float] = []

    for verb, seconds, pick in steps:
        is_asking = verb in {"reserve", "urgent"}
        permit: Any = limiter.reserve(["a"], is_urgent=verb == "urgent") if is_asking else None
        if isinstance(permit, Permit):
            waiting.append(permit)
        elif verb == "pass" or not waiting:
            clock.turn(seconds)
        else:
            chosen = waiting.pop(pick % len(waiting))
            if verb == "drop" and chosen.at > clock.seconds:
                limiter.drop(chosen)
                continue
            limiter.wait(chosen)
            arrivals.append(max(clock.seconds, chosen.at) + seconds / 10)
            clock.turn(seconds / 10)
            limiter.settle(chosen, arrived_by=arrivals[-1])

    assert not arrivals or most_in_a_window(arrivals) <= RATE.requests
