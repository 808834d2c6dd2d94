"""The clock that leases and due times are measured with: the database's, not this machine's."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Protocol

#: How long an anchor is trusted. Two quartz clocks drift apart by less than 1 ms in 30 s.
ANCHOR_SECONDS = 30.0


class Clock(Protocol):
    """Tells the time, aware and in UTC."""

    def now(self) -> datetime:
        """The time."""
        ...


class AnchoredClock:
    """Asks a distant clock now and then, and counts on from its answer by the monotonic clock.

    So machines whose own clocks disagree agree on leases, and a step of the local clock
    does nothing.
    """

    def __init__(
        self, ask: Callable[[], datetime], monotonic: Callable[[], float] = time.monotonic
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
            asked = self._monotonic()
            told = self._ask().astimezone(UTC)
            answered = self._monotonic()
            # The answer was true about half-way between the question and its arrival.
            self._anchor = (told, (asked + answered) / 2)
            return self._anchor


def local_time() -> datetime:
    """This machine's time."""
    return datetime.now(UTC)
