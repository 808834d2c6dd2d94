"""When schedules run: around the changes of the clock, at the edges, and what is no schedule."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.schedules.clock import Clock, cron_fault, timezone_fault

BERLIN = "Europe/Berlin"
REPOSITORY = Path(__file__).parents[3]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def times(clock: Clock, after: datetime, number: int) -> list[str]:
    found = []
    for _ in range(number):
        coming = clock.next_after(after)
        if coming is None:
            break
        found.append(f"{coming:%Y-%m-%d %H:%M}")
        after = coming
    return found


def test_a_time_is_that_of_the_zone_in_summer_and_in_winter() -> None:
    clock = Clock("0 7 * * *", BERLIN)

    assert times(clock, utc("2026-03-27T12:00"), 3) == [
        "2026-03-28 06:00",
        "2026-03-29 05:00",
        "2026-03-30 05:00",
    ]


def test_time_zones_are_there_on_a_machine_that_has_none() -> None:
    # Given a Python that is told of no folder of the system's
    bare = {**os.environ, "PYTHONTZPATH": ""}
    program = (
        "from datetime import UTC, datetime\n"
        "from jobs.schedules.clock import Clock, timezone_fault\n"
        f"assert timezone_fault({BERLIN!r}) is None\n"
        f"print(Clock('0 7 * * *', {BERLIN!r}).next_after(datetime(2026, 7, 1, tzinfo=UTC)))\n"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program],
        env=bare,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.stdout == "2026-07-01 05:00:00+00:00\n", ended.stderr


def test_a_time_that_the_clock_leaves_out_comes_right_after_the_gap_and_once() -> None:
    # On 2026-03-29 in Berlin 02:00 is followed by 03:00.
    clock = Clock("30 2 * * *", BERLIN)

    assert times(clock, utc("2026-03-28T12:00"), 2) == ["2026-03-29 01:00", "2026-03-30 00:30"]


def test_a_time_that_comes_twice_runs_the_first_time_only() -> None:
    # On 2026-10-25 in Berlin 03:00 is followed by 02:00.
    clock = Clock("30 2 * * *", BERLIN)

    assert times(clock, utc("2026-10-24T12:00"), 2) == ["2026-10-25 00:30", "2026-10-26 01:30"]


@pytest.mark.parametrize("moment", ["2026-10-25T00:30", "2026-10-25T01:10", "2026-10-25T01:30"])
def test_within_the_hour_that_comes_twice_no_time_lies_in_the_past(moment: str) -> None:
    clock = Clock("30 2 * * *", BERLIN)

    assert times(clock, utc(moment), 1) == ["2026-10-26 01:30"]


def test_what_runs_every_hour_runs_in_both_hours_of_the_same_name_and_in_no_gap() -> None:
    clock = Clock("0 * * * *", BERLIN)

    autumn = times(clock, utc("2026-10-24T22:30"), 4)
    spring = times(clock, utc("2026-03-28T23:30"), 3)

    assert autumn == [f"2026-10-{day}" for day in ("24 23:00", "25 00:00", "25 01:00", "25 02:00")]
    assert spring == ["2026-03-29 00:00", "2026-03-29 01:00", "2026-03-29 02:00"]


@given(
    minutes=st.integers(0, 366 * 24 * 60),
    cron=st.sampled_from(["30 2 * * *", "*/20 * * * *", "0 */5 * * *", "15 1,2,3 * * 0"]),
    zone=st.sampled_from([BERLIN, "America/New_York", "Australia/Lord_Howe", "UTC"]),
)
def test_the_next_time_always_lies_ahead(minutes: int, cron: str, zone: str) -> None:
    moment = utc("2026-01-01T00:00") + timedelta(minutes=minutes)

    coming = Clock(cron, zone).next_after(moment)

    assert coming is not None
    assert coming > moment


def test_nothing_runs_before_the_start_and_the_start_itself_counts() -> None:
    clock = Clock("0 7 * * *", "UTC", start_at=utc("2026-05-01T07:00"))

    assert times(clock, utc("2026-01-01T00:00"), 1) == ["2026-05-01 07:00"]


def test_nothing_runs_after_the_end() -> None:
    clock = Clock("0 7 * * *", "UTC", end_at=utc("2026-01-02T07:00"))

    assert times(clock, utc("2026-01-01T00:00"), 5) == ["2026-01-01 07:00", "2026-01-02 07:00"]


@pytest.mark.parametrize(
    "cron",
    [
        "",
        "* * * *",
        "* * * * * *",
        "61 * * * *",
        "* * * * funday",
        "0 0 31 2 *",
        "a b c d e",
        "@daily",
    ],
)
def test_what_is_no_cron_expression_is_refused(cron: str) -> None:
    assert cron_fault(cron)


@pytest.mark.parametrize("cron", ["0 7 * * *", "*/5 * * * 1-5", "0 0 L * *", "0 0 29 2 *"])
def test_a_cron_expression_is_taken(cron: str) -> None:
    assert cron_fault(cron) is None


@given(st.lists(st.text("0123456789*/-,#LW", max_size=8), min_size=5, max_size=5))
def test_whatever_is_written_is_either_taken_or_refused(fields: list[str]) -> None:
    cron_fault(" ".join(fields))


@pytest.mark.parametrize(
    "name", ["", "Berlin", "Europe/Atlantis", "../UTC", "/etc/passwd", "Europe"]
)
def test_what_is_no_time_zone_is_refused(name: str) -> None:
    assert timezone_fault(name)


@pytest.mark.parametrize("name", ["UTC", BERLIN])
def test_a_time_zone_is_taken(name: str) -> None:
    assert timezone_fault(name) is None
