"""How far away the API is, learned from answers that come at once, as TCP learns it.

What a connection tells is not enough: it may end at a proxy nearby.
"""

import time
from threading import Lock

#: As long as nothing is known, seconds: 99.9 % of requests over 80 ms (lognormal, sigma 0.5) take
#: less; `scripts/simulate_limiter.py` has what that means for the rate.
FAR = 0.35
#: How much of a new round trip enters the mean and the deviation (RFC 6298).
MEAN_SHARE, DEVIATION_SHARE = 1 / 8, 1 / 4
DEVIATIONS = 4


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
        """One more round trip: a request whose answer needed no work."""
        with self._lock:
            if self._mean is None:
                self._mean, self._deviation = seconds, seconds / 2
            else:
                off = abs(seconds - self._mean)
                self._deviation += DEVIATION_SHARE * (off - self._deviation)
                self._mean += MEAN_SHARE * (seconds - self._mean)
            self._learned_at = time.monotonic()
            self.answers += 1

    @property
    def age(self) -> float:
        """Seconds since something was learned."""
        return time.monotonic() - self._learned_at

    @property
    def seconds(self) -> float:
        """The bound: the mean round trip and four of its deviations."""
        with self._lock:
            return FAR if self._mean is None else self._mean + DEVIATIONS * self._deviation
