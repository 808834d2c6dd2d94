"""The rate limit of one key: an exact sliding log of arrivals, and the lock-out."""

from bisect import bisect_right, insort

from jobs.settings import Rate

#: Stability's window; the ledger measures by it when nothing is limited.
DEFAULT_WINDOW_SECONDS = 10.0


class SlidingLog:
    """The arrivals of the newest window."""

    def __init__(self, window_seconds: float) -> None:
        self._window = window_seconds
        self._arrivals: list[float] = []

    def add(self, at: float) -> int:
        """Add an arrival and tell how many the newest window now holds."""
        # Two connections may be served in another order than they arrived in.
        insort(self._arrivals, at)
        del self._arrivals[: bisect_right(self._arrivals, self._arrivals[-1] - self._window)]
        return len(self._arrivals)


class Window:
    """Admits or refuses arrivals; times are monotonic seconds."""

    def __init__(self, rate: Rate | None, freeze_seconds: float) -> None:
        self._limit = rate.requests if rate else None
        self._freeze = freeze_seconds
        self._seconds = rate.window.total_seconds() if rate else DEFAULT_WINDOW_SECONDS
        self._admission = SlidingLog(self._seconds)
        self._frozen_until = float("-inf")
        self._everything = SlidingLog(self._seconds)
        #: The most arrivals in any window, refused ones included.
        self.max_in_window = 0

    def admit(self, at: float) -> bool:
        """Whether a request that arrived at `at` is served; the one too many starts a lock-out."""
        self.max_in_window = max(self.max_in_window, self._everything.add(at))
        if at < self._frozen_until:
            return False
        if self._limit is not None and self._admission.add(at) > self._limit:
            self.freeze(at)
            return False
        return True

    def freeze(self, at: float) -> None:
        """Start a lock-out. Requests that come while it lasts do not prolong it."""
        self._frozen_until = max(self._frozen_until, at + self._freeze)

    def forget(self) -> None:
        """Start the count of the fullest window again; the limit itself forgets nothing."""
        self._everything = SlidingLog(self._seconds)
        self.max_in_window = 0
