"""The plan of polls is worth more than fixed gaps, and never asks too soon."""

import math
import random
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.durations import BINS, Histogram
from jobs.polling import PollPlan, growing_delay, plan, price

GAP = timedelta(seconds=10)
SCARCE, IDLE = price(1.0), price(0.0)


def drawn(chance: random.Random) -> float:
    """The issue's durations: lognormal, median 40 s, sigma 0.25."""
    return 40 * math.exp(chance.gauss(0, 0.25))


def polls_until(seconds: float, plan_: PollPlan, *, delay: float = 0.0) -> list[float]:
    """The moments at which a result of this duration is asked for, each later than planned."""
    moments = [0.0]
    while moments[-1] < seconds:
        elapsed = timedelta(seconds=moments[-1])
        wait = plan_.delay(elapsed, len(moments) - 1).total_seconds()
        moments.append(moments[-1] + wait + delay)
    return moments[1:]


def learned(price_seconds: float, *, delay: float = 0.0, results: int = 800) -> tuple[float, float]:
    """Polls a job and lateness in seconds, after learning from nothing but polls."""
    chance = random.Random(7)
    histogram = Histogram()
    polls = late = counted = 0.0
    for number in range(results):
        duration = drawn(chance)
        moments = polls_until(duration, plan(histogram, GAP, price_seconds), delay=delay)
        before = moments[-2] if len(moments) > 1 else 0.0
        histogram = histogram.learn(timedelta(seconds=before), timedelta(seconds=moments[-1]))
        if number >= results // 2:
            polls += len(moments)
            late += moments[-1] - duration
            counted += 1
    return polls / counted, late / counted


def test_scarce_requests_are_spent_on_few_late_polls() -> None:
    # When every request is wanted elsewhere,
    polls, late = learned(SCARCE)

    # Then 15 requests a second carry at least 6.4 jobs, as the best plan of the model does.
    assert 15 / (1 + polls) >= 6.4
    assert late < 20


@pytest.mark.parametrize("delay", [0.0, 0.4, 1.0], ids="{} s late".format)
def test_idle_requests_are_spent_on_early_polls(delay: float) -> None:
    # Given polls that wait for the dispatcher and their permits,
    polls, late = learned(IDLE, delay=delay)

    assert late <= 6.0
    assert polls <= 2.6


@given(
    st.lists(st.floats(0, 900), min_size=1, max_size=40),
    st.floats(0.5, 60),
    st.floats(1, 30),
    st.floats(0, 900),
    st.integers(0, 20),
)
def test_no_plan_ever_polls_twice_within_the_gap(
    durations: list[float], price_seconds: float, gap_seconds: float, elapsed: float, polls: int
) -> None:
    # Given whatever was learned,
    histogram = Histogram()
    for duration in durations:
        moment = timedelta(seconds=duration)
        histogram = histogram.learn(moment, moment + timedelta(seconds=3))

    gap = timedelta(seconds=gap_seconds)
    delay = plan(histogram, gap, price_seconds).delay(timedelta(seconds=elapsed), polls)

    assert delay >= gap


def test_an_unknown_operation_is_polled_ever_later() -> None:
    unknown = plan(Histogram(), GAP, IDLE)

    moments = polls_until(300, unknown)

    gaps = [b - a for a, b in zip([0.0, *moments], moments, strict=False)]
    assert gaps == sorted(gaps)
    assert gaps[0] == GAP.total_seconds()
    assert gaps[-1] == growing_delay(GAP, 99).total_seconds()


@pytest.mark.parametrize("seconds", [0, 0.4, 59.9, 10_000], ids=str)
def test_a_duration_is_remembered_in_its_bin(seconds: float) -> None:
    moment = timedelta(seconds=seconds)

    histogram = Histogram().learn(moment, moment)

    assert histogram.total == pytest.approx(1)
    assert len(histogram.weights) == min(int(seconds), BINS - 1) + 1


def test_a_histogram_survives_the_database() -> None:
    histogram = Histogram()
    for seconds in (3, 3, 4, 80):
        moment = timedelta(seconds=seconds)
        histogram = histogram.learn(moment, moment)

    again = Histogram.of_row(histogram.as_row())

    assert again.weights == pytest.approx(histogram.weights, abs=1e-5)


def test_what_is_old_is_forgotten() -> None:
    # Given an operation that used to take 20 s,
    histogram = Histogram()
    for _ in range(400):
        histogram = histogram.learn(timedelta(seconds=20), timedelta(seconds=20))

    # When it takes 60 s from now on,
    for _ in range(1500):
        histogram = histogram.learn(timedelta(seconds=60), timedelta(seconds=60))

    # Then nothing of the old habit is left in the plan.
    assert plan(histogram, GAP, SCARCE).moments[0] == pytest.approx(61, abs=2)
