"""How far away the API is, learned from answers that come at once, much as TCP learns it.

What a connection tells is not enough: it may end at a proxy nearby.
"""

import time
from threading import Lock

#: As long as nothing is known, seconds: 99.9 % of requests over 80 ms (lognormal, sigma 0.5) take
#: less; `scripts/simulate_limiter.py` has what that means for the rate.
FAR = 0.35
#: How much of a new round trip enters mean and deviation. TCP takes a quarter for the deviation and
#: bounds by four of them; its bound is looser, and each tenth of a second costs 1 % of the rate.
LEAST_SHARE = 1 / 8
DEVIATIONS = 3.5


class Distance:
    """By when a request has arrived, at the most, after it was sent; shared by threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._mean: float | None = None
        self._deviation = 0.0
        self._learned_at = float("-inf")
        #: Round trips that were learned.
        self.answers = 0

    def learn(self, seconds: float) -> None:
        """One more round trip: a request whose answer needed no work.

        It counts as little longer than the bound so far: one answer that was stalled says nothing
        of the others, and a way that has become longer is believed after a few.
        """
        with self._lock:
            if self._mean is None:
                self._mean = min(seconds, FAR)
                self._deviation = self._mean / 4
            else:
                seconds = min(seconds, self._bound + FAR)
                off = abs(seconds - self._mean)
                # The first ones count alike.
                share = max(LEAST_SHARE, 1 / (self.answers + 1))
                self._deviation += share * (off - self._deviation)
                self._mean += share * (seconds - self._mean)
            self._learned_at = time.monotonic()
            self.answers += 1

    @property
    def age(self) -> float:
        """Seconds since something was learned."""
        return time.monotonic() - self._learned_at

    @property
    def seconds(self) -> float:
        """The bound: the mean round trip and some of its deviations."""
        with self._lock:
            return self._bound

    @property
    def _bound(self) -> float:
        return FAR if self._mean is None else self._mean + DEVIATIONS * self._deviation
