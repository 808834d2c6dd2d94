"""When to ask for a result: as early as a request is worth it, and never too soon.

A poll costs a request, and so does every other job's create. The plan for an operation is the
list of moments that makes (polls x price + seconds of lateness) least, for the durations seen so
far; the price of a poll, in seconds of lateness, is high while requests are scarce.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

from jobs.durations import BIN_SECONDS, Histogram

#: Each wait is longer than the last by this factor, while nothing is known.
GROWTH = 1.5
#: The longest wait: a result is fetched at most so long after it is ready.
LONGEST = timedelta(seconds=60)
#: Results before their durations are trusted.
LEAST_KNOWN = 5.0
#: What a poll is worth, in seconds of lateness: with requests to spare, and without any. For 24
#: histograms, each of 400 durations (lognormal, 40 s, sigma 0.25; polls 10 s apart), the plans at
#: 0.8 are 5.4 s late with 2.25 polls, at 1.5 5.6 s with 2.07, and at 0.3 5.3 s with 2.5.
CHEAP_SECONDS, DEAR_SECONDS = 0.8, 18.0


@dataclass(frozen=True)
class PollPlan:
    """Moments after the create, in seconds, at which a result is asked for."""

    moments: tuple[float, ...]
    gap: timedelta

    def delay(self, elapsed: timedelta, polls: int) -> timedelta:
        """How long to wait after `polls` polls, `elapsed` after the create."""
        seconds = elapsed.total_seconds()
        # Polls come a little late, and each puts off the next one, but does not take its place:
        # only a moment that has nearly come by now is passed over.
        passed = seconds + (self.gap.total_seconds() / 2 if polls else 0.0)
        number = bisect_right(self.moments, passed)
        if number < len(self.moments):
            return max(self.gap, timedelta(seconds=self.moments[number] - seconds))
        return growing_delay(self.gap, polls)


def growing_delay(gap: timedelta, polls: int) -> timedelta:
    """The wait before the next poll, after so many, when nothing else is known."""
    return max(gap, min(gap * GROWTH ** min(polls, 32), LONGEST))


def price(scarcity: float) -> float:
    """What a poll is worth in seconds; scarcity is 0 when requests are idle and 1 when all go."""
    return CHEAP_SECONDS + (DEAR_SECONDS - CHEAP_SECONDS) * min(1.0, max(0.0, scarcity))


def plan(histogram: Histogram, gap: timedelta, price_seconds: float) -> PollPlan:
    """The best moments for an operation; none while too little is known of it."""
    if histogram.total < LEAST_KNOWN:
        return PollPlan((), gap)
    survival = histogram.survival()
    least = max(1, round(gap.total_seconds() / BIN_SECONDS))
    following = best_followers(survival, least, price_seconds / BIN_SECONDS)
    moments = []
    number = 0
    while following[number] > number:
        number = following[number]
        moments.append(number * BIN_SECONDS)
    return PollPlan(tuple(moments), gap)


def best_followers(survival: Sequence[float], least: int, price_bins: float) -> list[int]:
    """For a poll in each bin the bin of the best next one; itself where none is needed.

    Backwards over the bins: the cost of the next poll at `j` is one poll for all that are left
    at `i`, the lateness of those that become ready between, and what follows from `j`.
    """
    size = len(survival)
    area = [0.0]
    for left, right in pairwise(survival):
        area.append(area[-1] + (left + right) / 2)
    worth = [0.0] * size
    following = list(range(size))
    for i in range(size - 2, -1, -1):
        best = None
        # Nothing is ready before the first moment that the gap allows.
        for j in range(min(i + least, size - 1), size):
            lateness = survival[i] * (j - i) - (area[j] - area[i])
            cost = survival[i] * price_bins + lateness + worth[j]
            if best is None or cost < best:
                best, following[i] = cost, j
        worth[i] = best or 0.0
    return following
