"""How long what is under way will take, by what was learned of such jobs."""

from datetime import timedelta

import pytest

from jobs.durations import Histogram
from jobs.forecast import ASYNC_TAIL, POLL_LATENESS, longest_of

#: Half of the results take 40 s, the others are spread up to 50 s.
KNOWN = Histogram((0.0,) * 40 + (10.0,) + (1.0,) * 10)


def seconds(value: float) -> timedelta:
    return timedelta(seconds=value)


def test_one_job_takes_as_long_as_half_of_them_do() -> None:
    assert longest_of(KNOWN, seconds(0), 1) == pytest.approx(41 + POLL_LATENESS, abs=1)


def test_the_last_of_many_takes_longer_than_one() -> None:
    assert longest_of(KNOWN, seconds(0), 50) > longest_of(KNOWN, seconds(0), 1)


def test_what_has_run_for_a_while_has_less_before_it() -> None:
    assert longest_of(KNOWN, seconds(30), 1) == longest_of(KNOWN, seconds(0), 1) - 30


@pytest.mark.parametrize("elapsed", [0, 39, 49.9, 50, 51, 4000])
@pytest.mark.parametrize("histogram", [KNOWN, Histogram()], ids=["known", "unknown"])
def test_what_is_under_way_is_never_said_to_be_over(histogram: Histogram, elapsed: float) -> None:
    assert longest_of(histogram, seconds(elapsed), 3) >= POLL_LATENESS


def test_nothing_learned_is_a_guess() -> None:
    assert longest_of(Histogram(), seconds(5), 1) == ASYNC_TAIL - 5
