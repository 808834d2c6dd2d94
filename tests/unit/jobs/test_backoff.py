from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.backoff import FIRST, LONGEST, ceiling, delay

tries = st.integers(min_value=0, max_value=10_000)


@pytest.mark.parametrize(
    ("failed", "seconds"), [(0, 2), (1, 4), (2, 8), (3, 16), (4, 32), (5, 60), (6, 60), (999, 60)]
)
def test_the_ceiling_doubles_up_to_the_longest_wait(failed: int, seconds: int) -> None:
    assert ceiling(failed) == timedelta(seconds=seconds)


@given(tries)
def test_a_wait_lies_between_half_of_the_ceiling_and_all_of_it(failed: int) -> None:
    assert ceiling(failed) / 2 <= delay(failed) <= ceiling(failed)


@given(tries)
def test_a_wait_is_never_at_once_and_never_endless(failed: int) -> None:
    assert FIRST / 2 <= delay(failed) <= LONGEST


def test_waits_are_spread_so_that_not_all_come_back_together() -> None:
    assert len({delay(3) for _ in range(50)}) > 1
