"""How long the beat rests while nothing is due."""

from datetime import timedelta

import pytest

from tests.factories import NOW
from workers.beat import IDLE_SECONDS, LEAST_SECONDS, rest_seconds


@pytest.mark.parametrize(
    ("seconds", "rest"),
    [
        (None, IDLE_SECONDS),
        (60.0, IDLE_SECONDS),
        (IDLE_SECONDS / 2, IDLE_SECONDS / 2),
        (0.0001, LEAST_SECONDS),
    ],
)
def test_the_beat_rests_until_something_is_due(seconds: float | None, rest: float) -> None:
    next_at = None if seconds is None else NOW + timedelta(seconds=seconds)

    assert rest_seconds(NOW, next_at) == rest
