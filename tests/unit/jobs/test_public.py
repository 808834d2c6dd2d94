"""A job as the outside sees it."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from jobs.public import credits_of, when


@pytest.mark.parametrize(
    ("milli", "shown"), [(None, None), (0, 0), (3000, 3), (6500, 6.5), (1, 0.001), (-2500, -2.5)]
)
def test_credits_are_whole_where_they_can_be(milli: int | None, shown: float | None) -> None:
    found = credits_of(milli)

    assert (found, type(found)) == (shown, type(shown))


def test_credits_are_written_exactly() -> None:
    assert json.dumps([credits_of(milli) for milli in (1, 203, 12_345)]) == "[0.001, 0.203, 12.345]"


@pytest.mark.parametrize(
    ("time", "shown"),
    [
        (None, None),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 600, tzinfo=UTC), "2026-01-02T03:04:05.000600Z"),
        (
            datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=1))),
            "2026-01-02T02:04:05Z",
        ),
    ],
)
def test_a_time_names_its_zone(time: datetime | None, shown: str | None) -> None:
    assert when(time) == shown
