"""How long each operation's results take: a histogram that forgets, learned from the polls.

A poll tells only that a result became ready between two moments. Its weight is spread over that
interval in proportion to what was known before, so that the polls' own spacing does not become
part of what is learned.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Self

#: Seconds a bin covers, and their number: results that take longer count as the longest.
BIN_SECONDS = 1.0
BINS = 600
#: After so many results what was learned before has half its weight.
HALF_LIFE = 200
#: Bins lighter than this share of all are not worth keeping.
NEGLIGIBLE = 1e-4


@dataclass(frozen=True)
class Histogram:
    """Weights of durations, a bin for each second."""

    weights: tuple[float, ...] = ()

    @classmethod
    def of_row(cls, row: dict[str, Any]) -> Self:
        """From the database's form: only bins that weigh something."""
        bins: dict[str, float] = row.get("bins", {})
        size = 1 + max((int(number) for number in bins), default=-1)
        return cls(tuple(bins.get(str(number), 0.0) for number in range(size)))

    def as_row(self) -> dict[str, Any]:
        """The database's form."""
        floor = NEGLIGIBLE * self.total
        return {
            "bins": {
                str(number): round(weight, 6)
                for number, weight in enumerate(self.weights)
                if weight > floor
            }
        }

    @property
    def total(self) -> float:
        """How many results it stands for, as far as they are remembered."""
        return sum(self.weights)

    def learn(self, earliest: timedelta, latest: timedelta) -> "Histogram":
        """The histogram with one more result, that became ready between the two."""
        first = bin_of(earliest)
        last = max(first, bin_of(latest))
        weights = list(self.weights) + [0.0] * max(0, last + 1 - len(self.weights))
        decay = 0.5 ** (1 / HALF_LIFE)
        weights = [weight * decay for weight in weights]
        known = sum(weights[first : last + 1])
        width = last - first + 1
        for number in range(first, last + 1):
            # A little of it is spread evenly: what was never seen must stay possible.
            share = weights[number] / known if known else 0.0
            weights[number] += (share + 0.1 / width) / 1.1 if known else 1 / width
        return replace(self, weights=tuple(weights))

    def survival(self) -> list[float]:
        """The share of results that take longer than each bin's beginning; ends with 0."""
        total = self.total
        left, shares = total, []
        for weight in self.weights:
            shares.append(left / total)
            left -= weight
        return [*shares, 0.0]


def bin_of(duration: timedelta) -> int:
    """The bin of a duration."""
    return max(0, min(BINS - 1, int(duration.total_seconds() / BIN_SECONDS)))
