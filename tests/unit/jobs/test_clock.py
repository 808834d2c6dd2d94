import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace

import pytest

from jobs import clock
from jobs.clock import ANCHOR_SECONDS, AnchoredClock, BootClock, LocalClock

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
#: For each anchor: the quicker answer counts.
QUESTIONS = 2


class Times:
    """A distant clock and this machine's monotonic one, both set by hand."""

    def __init__(self) -> None:
        self.distant = START
        self.local = 1000.0
        self.delay = 0.0
        self.questions = 0

    def ask(self) -> datetime:
        self.questions += 1
        self.advance(self.delay / 2)
        told = self.distant
        self.advance(self.delay / 2)
        return told

    def monotonic(self) -> float:
        return self.local

    def advance(self, seconds: float) -> None:
        self.distant += timedelta(seconds=seconds)
        self.local += seconds


@pytest.fixture
def times() -> Times:
    return Times()


@pytest.fixture
def anchored(times: Times) -> AnchoredClock:
    return AnchoredClock(times.ask, times.monotonic)


def test_it_counts_on_from_one_answer(anchored: AnchoredClock, times: Times) -> None:
    assert anchored.now() == START

    times.advance(ANCHOR_SECONDS)

    assert anchored.now() == START + timedelta(seconds=ANCHOR_SECONDS)
    assert times.questions == QUESTIONS


def test_it_asks_again_when_its_anchor_is_old(anchored: AnchoredClock, times: Times) -> None:
    anchored.now()

    times.advance(ANCHOR_SECONDS + 1)
    times.distant += timedelta(seconds=5)

    assert anchored.now() == times.distant
    assert times.questions == 2 * QUESTIONS


def test_an_answer_was_true_half_way_through_the_question(
    anchored: AnchoredClock, times: Times
) -> None:
    times.delay = 2.0

    assert anchored.now() == times.distant


def test_a_question_that_had_to_connect_first_counts_for_nothing(times: Times) -> None:
    def ask() -> datetime:
        if times.questions == 0:
            times.advance(3.0)
        return times.ask()

    assert AnchoredClock(ask, times.monotonic).now() == times.distant


def test_an_answer_in_another_zone_is_the_same_moment(times: Times) -> None:
    zone = timezone(timedelta(hours=9))
    anchored = AnchoredClock(lambda: START.astimezone(zone), times.monotonic)

    assert anchored.now() == START
    assert anchored.now().tzinfo is UTC


def test_a_failed_question_is_raised_and_asked_again(times: Times) -> None:
    answers: list[Callable[[], datetime]] = [times.ask, times.ask, lambda: 1 / 0]  # type: ignore[list-item, return-value]
    anchored = AnchoredClock(lambda: answers.pop()(), times.monotonic)

    with pytest.raises(ZeroDivisionError):
        anchored.now()

    assert anchored.now() == START


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts a machine's sleep")
def test_the_time_is_counted_that_the_machine_slept(
    times: Times, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a clock that goes on while the machine sleeps, and one that does not,
    slept = SimpleNamespace(
        CLOCK_BOOTTIME=time.CLOCK_BOOTTIME,
        clock_gettime={time.CLOCK_BOOTTIME: 1000.0, time.CLOCK_MONOTONIC: 1000.0}.get,
    )
    monkeypatch.setattr(clock, "time", slept)
    anchored = AnchoredClock(times.ask)
    anchored.now()

    # when the first has gone on alone,
    slept.clock_gettime = {time.CLOCK_BOOTTIME: 1020.0, time.CLOCK_MONOTONIC: 1000.0}.get

    assert anchored.now() == START + timedelta(seconds=20)


def test_the_local_clock_is_aware_and_in_utc() -> None:
    assert LocalClock().now().tzinfo is UTC


def test_all_processes_on_one_file_agree_when_the_machine_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = BootClock(tmp_path / "darkroom.db")
    first.now()

    class Stepped(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return START

    monkeypatch.setattr(clock, "datetime", Stepped)
    second = BootClock(tmp_path / "darkroom.db")

    assert abs(second.now() - first.now()) < timedelta(minutes=5)
    assert first._started_at == second._started_at


def test_of_many_that_propose_a_start_one_is_believed_by_all(tmp_path: Path) -> None:
    clocks = [BootClock(tmp_path / "new" / "darkroom.db") for _ in range(8)]

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(BootClock.now, clocks))

    assert len({boot._started_at for boot in clocks}) == 1
    assert len(list((tmp_path / "new").iterdir())) == 1


def test_where_nobody_knows_the_start_the_machines_own_clock_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "boot_id", lambda: "")

    assert BootClock(tmp_path / "darkroom.db").now().tzinfo is UTC
    assert list(tmp_path.iterdir()) == []
