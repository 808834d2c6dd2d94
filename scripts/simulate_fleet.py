"""What ten, a hundred and a thousand workers or credentials need, and what gives out first.

    python scripts/simulate_fleet.py [--mode sync|async] [--seconds 120] [--database-cores 4]

Jobs without end pass through the stations that all of them share: the workers' processors, the
database's, Redis (one thread), and each credential's slots. What a job costs at a station is what
`make bench` measured (docs/performance.md); change the figures here for another machine.
"""

import argparse
import heapq
import math
from collections.abc import Generator
from dataclasses import dataclass
from random import Random

#: Seconds of one core, for each job or request.
WORKER_JOB = 0.0050
WORKER_POLL = 0.0025
DATABASE_CLAIM = 0.0002
DATABASE_CHANGE = 0.0003
REDIS_CALL = 0.00004

#: Changes of a job's row: taken, intent, and accepted or stored; then two for each poll.
CHANGES = 3
POLL_CHANGES = 2
#: The database's disk and the way there and back.
COMMIT_SECONDS = 0.005
BUCKET_SECONDS = 0.050

#: Grants in a second: 150 in 10 s, as far as the limiter uses them.
GRANTS = 15 * 0.98
#: The settings' defaults.
THREADS = 200
MAX_IN_FLIGHT = 200
#: Polls of an asynchronous job when requests are scarce, by the learned plans.
POLLS = 1.2
POLL_GAP = 10.0
#: Each resumes at the time that it yields.
Process = Generator[float, None, None]


class Station:
    """So many servers with one queue, first come, first served."""

    def __init__(self, servers: int) -> None:
        self.servers = servers
        self.busy = 0.0
        self._free = [0.0] * servers

    def serve(self, now: float, seconds: float) -> float:
        """When a piece of work that comes now is done; it must not come before the last one."""
        done = max(now, heapq.heappop(self._free)) + seconds
        heapq.heappush(self._free, done)
        self.busy += seconds
        return done

    def load(self, seconds: float) -> float:
        """The part of so many seconds that its servers worked; above 1 a queue grows."""
        return self.busy / seconds / self.servers


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What is simulated."""

    mode: str
    workers: int
    credentials: int
    database_cores: int
    seconds: float
    latency: float
    sigma: float

    @property
    def requests(self) -> float:
        """What one job takes of the rate."""
        return 1 + (POLLS if self.mode == "async" else 0)

    @property
    def capacity(self) -> float:
        """Jobs a second that the dispatcher begins: what the slots and the stations can take."""
        polls = self.requests - 1
        claims, changes = 1 + polls, CHANGES + POLL_CHANGES * polls
        return min(
            self.credentials * GRANTS / self.requests,
            self.workers / (WORKER_JOB + polls * WORKER_POLL),
            self.database_cores / (claims * DATABASE_CLAIM + changes * DATABASE_CHANGE),
            1 / (2 * REDIS_CALL * self.requests),
        )

    @property
    def callers(self) -> int:
        """Jobs that are under way at once: by Little's law, and no more than may be."""
        needed = 1.2 * self.capacity * (self.latency + (self.requests - 1) * POLL_GAP)
        if self.mode == "async":
            return math.ceil(needed)
        threads = min(self.workers * THREADS, self.credentials * MAX_IN_FLIGHT)
        return math.ceil(min(needed, threads))

    @property
    def warm_up(self) -> float:
        """Seconds until all callers have begun and the first ones have been answered."""
        return self.callers / self.capacity + 2 * self.latency


class Fleet:
    """The stations, and jobs that pass through them."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.chance = Random(1)
        self.now = 0.0
        self.done = 0
        self.workers = [Station(1) for _ in range(setup.workers)]
        self.database = Station(setup.database_cores)
        self.redis = Station(1)
        self.slots = [0.0] * setup.credentials

    def run(self) -> None:
        """Let the time pass; the figures count from the end of the warm-up."""
        waiting = []
        credentials, workers = self.setup.credentials, self.setup.workers
        for number in range(self.setup.callers):
            begins = number / self.setup.capacity
            caller = self.caller(number % credentials, number % workers)
            heapq.heappush(waiting, (begins, number, caller))
        is_warm, end = False, self.setup.warm_up + self.setup.seconds
        while waiting[0][0] < end:
            self.now, number, caller = heapq.heappop(waiting)
            if not is_warm and self.now >= self.setup.warm_up:
                is_warm = True
                self.forget()
            heapq.heappush(waiting, (next(caller), number, caller))

    def forget(self) -> None:
        """Begin to count."""
        self.done = 0
        for station in (*self.workers, self.database, self.redis):
            station.busy = 0.0

    def caller(self, credential: int, worker: int) -> Process:
        """Job after job, for ever."""
        while True:
            yield self.database.serve(self.now, DATABASE_CLAIM)
            yield from self.change()
            yield self.workers[worker].serve(self.now, WORKER_JOB)
            yield from self.permit(credential)
            yield from self.change()
            yield self.now + self.duration()
            for _ in range(self.polls()):
                yield from self.change()
                yield self.now + POLL_GAP * self.chance.uniform(0.2, 1.0)
                yield self.database.serve(self.now, DATABASE_CLAIM)
                yield from self.change()
                yield self.workers[worker].serve(self.now, WORKER_POLL)
                yield from self.permit(credential)
            yield self.now + BUCKET_SECONDS
            yield from self.change()
            self.done += 1

    def change(self) -> Process:
        """One committed change of the job's row."""
        yield self.database.serve(self.now, DATABASE_CHANGE) + COMMIT_SECONDS

    def permit(self, credential: int) -> Process:
        """A slot: one call to reserve it, one to settle it."""
        yield self.redis.serve(self.now, 2 * REDIS_CALL)
        slot = max(self.now, self.slots[credential])
        self.slots[credential] = slot + 1 / GRANTS
        yield slot

    def duration(self) -> float:
        """The API's time for one job, in seconds."""
        return self.chance.lognormvariate(math.log(self.setup.latency), self.setup.sigma)

    def polls(self) -> int:
        """How often this job is polled: at least once, and as often as planned in the mean."""
        if self.setup.mode == "sync":
            return 0
        return 1 + (self.chance.random() < POLLS - 1)


def limit_of(fleet: Fleet, used: float) -> str:
    """What gives out first."""
    seconds = fleet.setup.seconds
    loads = {
        "Redis": fleet.redis.load(seconds),
        "database": fleet.database.load(seconds),
        "workers' processors": max(station.load(seconds) for station in fleet.workers),
    }
    name, load = max(loads.items(), key=lambda item: item[1])
    if load > 0.95:
        return name
    return "the rate" if used > 0.95 else "threads"


def row(setup: Setup) -> str:
    """One line of the table."""
    fleet = Fleet(setup)
    fleet.run()
    jobs = fleet.done / setup.seconds
    used = jobs * setup.requests / (GRANTS * setup.credentials)
    processors = sum(station.busy for station in fleet.workers) / setup.seconds
    cells = (
        f"{setup.credentials:,}",
        f"{setup.workers:,}",
        f"{jobs:,.1f}",
        f"{used:.0%}",
        f"{processors:.1f} cores",
        f"{fleet.database.load(setup.seconds) * setup.database_cores:.2f} cores",
        f"{fleet.redis.load(setup.seconds):.1%}",
        limit_of(fleet, used),
    )
    return f"| {' | '.join(cells)} |"


FLEETS = ((1, 1), (1, 10), (10, 10), (100, 10), (100, 100), (1000, 100), (1000, 1000))


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--mode", choices=["sync", "async"], default="sync")
    options.add_argument("--seconds", type=float, default=120.0)
    options.add_argument("--database-cores", type=int, default=4)
    options.add_argument("--latency", type=float, help="median seconds of a job at the API")
    given = options.parse_args()
    latency, sigma = (40.0, 0.25) if given.mode == "async" else (8.0, 0.4)
    print("| credentials | workers | jobs/s | of the rate | workers | database | Redis | limit |")
    print("|---|---|---|---|---|---|---|---|")
    for credentials, workers in FLEETS:
        setup = Setup(
            mode=given.mode,
            workers=workers,
            credentials=credentials,
            database_cores=given.database_cores,
            seconds=given.seconds,
            latency=given.latency or latency,
            sigma=sigma,
        )
        print(row(setup), flush=True)


if __name__ == "__main__":
    main()
