"""How much of the rate the limiter uses, and how often the API would answer 429.

    python scripts/simulate_limiter.py [--hours 2] [--seed 1]

Callers keep the limiter busy for so long, over networks of several kinds, against an API that
counts the arrivals in any window of 10 s. The slots are kept as `limiter.lua` keeps them; a test
holds the two against each other.
"""

import argparse
import heapq
from bisect import bisect_right, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count, pairwise
from math import log
from random import Random
from statistics import mean

from jobs.limiter.permits import HOLD, PUNCTUAL, reach
from workers.distance import Distance
from workers.rangefinder import ENOUGH, FIRST_SECONDS, LATER_SECONDS

REQUESTS = 150
WINDOW = 10.0
#: The script counts whole microseconds.
SPACING = int(WINDOW * 1e6) // REQUESTS / 1e6
#: Callers that hold a slot and wait for it: the dispatcher sends for about a second of the rate.
WAITING = 15
#: Between a slot and the first byte: a thread wakes up, and asks once more about a freeze.
WAKE_SECONDS = (0.001, 0.01)
#: Journeys of a packet before the first byte of a new connection: TCP's two, and TLS's two.
HANDSHAKES = 4
#: What the API does for an answer that needs no work.
QUICK_SECONDS = 0.02
#: Left out at both ends of a run.
MARGIN = 60.0


@dataclass(frozen=True)
class Journey:
    """One request's times after it was begun, in seconds."""

    #: How long it took to connect before; and when its last byte was sent, None where the answer
    #: comes at once.
    connected: float
    sent: float | None
    arrived: float
    answered: float
    #: What earlier answers have told of the way.
    distance: float

    @property
    def arrived_by(self) -> float:
        """What the caller knows of the arrival once it has the answer."""
        if self.sent is None:
            return self.answered
        return min(self.answered, self.sent + reach(self.connected, self.distance))


class Slots:
    """One credential's slots, by the rules of `limiter.lua`, in seconds."""

    def __init__(self, hold: float, *, spacing: float = SPACING) -> None:
        self.hold = hold
        self.spacing = spacing
        self.next = 0.0
        self._ends: dict[int, float] = {}
        self._ordered: list[tuple[float, int]] = []

    def reserve(self, token: int, now: float) -> float:
        """The time of the next free slot, which is taken."""
        del self._ordered[: bisect_right(self._ordered, (now, 1 << 62))]
        start = max(now, self.next)
        if len(self._ordered) >= REQUESTS:
            start = max(start, self._ordered[len(self._ordered) - REQUESTS][0])
        self._set(token, start + self.hold + WINDOW)
        self.next = start + self.spacing
        return start

    def settle(self, token: int, arrived_by: float) -> None:
        """The request is known to have arrived by then."""
        self._set(token, arrived_by + WINDOW)

    def _set(self, token: int, end: float) -> None:
        old = (self._ends.get(token, -1.0), token)
        place = bisect_right(self._ordered, old) - 1
        if place >= 0 and self._ordered[place] == old:
            del self._ordered[place]
        self._ends[token] = end
        insort(self._ordered, (end, token))


def arrivals(way: "Way", *, hours: float, seed: int) -> Iterator[float]:
    """When the requests of busy callers reach the API."""
    chance, slots, end = Random(seed), Slots(HOLD.total_seconds()), hours * 3600
    asked, next_ask = 0, FIRST_SECONDS
    #: When, whose (0: a caller wants a slot), and by when that request has arrived.
    happening = [(0.0, 0, 0.0)] * WAITING
    for token in count(1):
        now, settled, arrived_by = heapq.heappop(happening)
        while settled:
            slots.settle(settled, arrived_by)
            now, settled, arrived_by = heapq.heappop(happening)
        if now > end:
            return
        slot = slots.reserve(token, now)
        begun = slot + min(chance.uniform(*WAKE_SECONDS), PUNCTUAL.total_seconds())
        trip = way(chance) if begun < next_ask else way.ask(chance)
        if begun >= next_ask:
            asked += 1
            next_ask = begun + (FIRST_SECONDS if asked < 2 * ENOUGH else LATER_SECONDS)
        yield begun + trip.arrived
        heapq.heappush(happening, (begun, 0, 0.0))
        heapq.heappush(happening, (begun + trip.answered, token, begun + trip.arrived_by))


@dataclass
class Way:
    """A network, and what two workers that share it have learned of it."""

    median: float
    sigma: float
    #: How many requests are stalled for seconds, and how many paid calls upload something large.
    stalls: float
    upload: float
    #: How many of the requests are paid calls that are answered only after seconds of work.
    creates: float
    learned: tuple[Distance, Distance] = field(default_factory=lambda: (Distance(), Distance()))

    def __call__(self, chance: Random) -> Journey:
        """There, work, and back on a connection that is open; a paid call opened its own before."""
        distance = chance.choice(self.learned)
        if chance.random() < self.creates:
            return self._create(chance, distance)
        trip = self._quick(chance, distance.seconds)
        distance.learn(trip.answered)
        return trip

    def ask(self, chance: Random) -> Journey:
        """The worker that knows less asks for a balance, and learns from the answer."""
        distance = min(self.learned, key=lambda one: one.answers)
        trip = self._quick(chance, distance.seconds)
        distance.learn(trip.answered)
        return trip

    def _create(self, chance: Random, distance: Distance) -> Journey:
        connected = sum(self._one(chance) for _ in range(HANDSHAKES))
        sent = chance.expovariate(1 / 0.35) if chance.random() < self.upload else 0.0
        # Head and body are two packets, and the second is never there before the first.
        arrived = sent + max(self._one(chance), self._one(chance)) + self._stall(chance)
        answered = arrived + chance.lognormvariate(log(4.0), 0.4) + self._one(chance)
        return Journey(connected, sent, arrived, answered, distance.seconds)

    def _quick(self, chance: Random, distance: float) -> Journey:
        arrived = self._one(chance) + self._stall(chance)
        return Journey(0.0, None, arrived, arrived + QUICK_SECONDS + self._one(chance), distance)

    def _one(self, chance: Random) -> float:
        return chance.lognormvariate(log(self.median), self.sigma)

    def _stall(self, chance: Random) -> float:
        return chance.uniform(1, 3) if chance.random() < self.stalls else 0.0


def refusals(times: Sequence[float]) -> int:
    """Requests that an API with an exact sliding window would refuse."""
    ordered = sorted(times)
    return sum(b - a < WINDOW for a, b in zip(ordered, ordered[REQUESTS:], strict=False))


def utilisation(times: Sequence[float]) -> float:
    """The part of the rate that was used, away from both ends."""
    ordered = sorted(times)
    inner = [t for t in ordered if ordered[0] + MARGIN < t < ordered[-1] - MARGIN]
    return 1 / mean(b - a for a, b in pairwise(inner)) / (REQUESTS / WINDOW)


NETWORKS = {
    "lan, 1 ms": partial(Way, 0.001, 0.3, 0.0, 0.0),
    "near, 20 ms": partial(Way, 0.020, 0.3, 0.0, 0.0),
    "wan, 80 ms": partial(Way, 0.080, 0.5, 0.0, 0.0),
    "wan, uploads": partial(Way, 0.080, 0.5, 0.0, 0.4),
    "wan, stalls": partial(Way, 0.080, 0.5, 0.002, 0.0),
    "wan, both": partial(Way, 0.080, 0.5, 0.002, 0.4),
}
TRAFFIC = {"polls": 0.0, "both": 0.5, "paid calls": 1.0}


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--hours", type=float, default=2.0)
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    print("| network | traffic | rate used | would-be 429s |\n|---|---|---|---|")
    for name, network in NETWORKS.items():
        for traffic, part in TRAFFIC.items():
            times = list(arrivals(network(part), hours=given.hours, seed=given.seed))
            print(f"| {name} | {traffic} | {utilisation(times):.2%} | {refusals(times)} |")


if __name__ == "__main__":
    main()
