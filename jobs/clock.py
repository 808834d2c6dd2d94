"""The clock that leases and due times are measured with: the database's, not this machine's."""

import os
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Protocol

from jobs.identity import boot_id

#: How long an anchor is trusted. Two quartz clocks drift apart by less than 1 ms in 30 s.
ANCHOR_SECONDS = 30.0


def uptime() -> float:
    """Seconds since some start, with those that the machine slept where it can count them."""
    if sys.platform != "linux":
        return time.monotonic()
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Clock(Protocol):
    """Tells the time, aware and in UTC."""

    def now(self) -> datetime:
        """The time."""
        ...


@dataclass(frozen=True)
class Answer:
    """What a distant clock told, when that was about true, and how long it took to be told."""

    told: datetime
    at: float
    seconds: float


class AnchoredClock:
    """Asks a distant clock now and then, and counts on from its answer by the monotonic clock.

    So machines whose own clocks disagree agree on leases, and a step of the local clock, or a
    sleep, does nothing.
    """

    def __init__(
        self, ask: Callable[[], datetime], monotonic: Callable[[], float] = uptime
    ) -> None:
        self._ask = ask
        self._monotonic = monotonic
        self._lock = Lock()
        self._anchor: tuple[datetime, float] | None = None

    def now(self) -> datetime:
        """The distant clock's time; raises what `ask` raises when an anchor is needed."""
        anchor = self._anchor
        if anchor is None or self._monotonic() - anchor[1] > ANCHOR_SECONDS:
            anchor = self._drop_anchor()
        told, at = anchor
        return told + timedelta(seconds=self._monotonic() - at)

    def _drop_anchor(self) -> tuple[datetime, float]:
        with self._lock:
            # The first question may have to connect, and then says little.
            quicker = min((self._question() for _ in range(2)), key=lambda answer: answer.seconds)
            self._anchor = (quicker.told, quicker.at)
            return self._anchor

    def _question(self) -> Answer:
        asked = self._monotonic()
        told = self._ask().astimezone(UTC)
        answered = self._monotonic()
        return Answer(told, at=(asked + answered) / 2, seconds=answered - asked)


class LocalClock:
    """This machine's own clock."""

    def now(self) -> datetime:
        """Its time."""
        return datetime.now(UTC)


class BootClock:
    """Time since the machine was started, counted from when it said that it was.

    All processes on one SQLite file share a machine, and by a small file beside it they share
    this clock: setting the machine's own clock forward or back does not touch it.
    """

    def __init__(self, database: Path) -> None:
        self._file = database.with_name(f"{database.name}-boot-{boot_id()[:8]}")
        self._started_at: datetime | None = None

    def now(self) -> datetime:
        """The time; where nobody knows when the machine was started, its own clock's."""
        if not boot_id():
            return datetime.now(UTC)
        passed = timedelta(seconds=uptime())
        if self._started_at is None:
            self._started_at = self._agree(datetime.now(UTC) - passed)
        return self._started_at + passed

    def _agree(self, proposed: datetime) -> datetime:
        """The first process since the start says when it was; the others take its word."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        draft = self._file.with_name(f"{self._file.name}.{os.getpid()}.{secrets.token_hex(4)}")
        draft.write_text(proposed.isoformat(), "ascii")
        try:
            self._file.hardlink_to(draft)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        return datetime.fromisoformat(self._file.read_text("ascii"))
