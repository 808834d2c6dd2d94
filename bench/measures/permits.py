"""What the limiter costs a caller: time, and calls of Redis."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

import redis

from bench.figure import Figure
from bench.options import Options
from bench.taker import CREDENTIAL
from bench.usage import percentile
from jobs.limiter.permits import Limiter, connect
from jobs.settings import Rate, parse_rate
from tests.faults.process import plain_environment
from tests.servers import redis_server

REAL_RATE, NO_LIMIT = "150/10s", "1000000/1s"
PROCESSES, THREADS = 2, 16
#: What goes to Redis for a script; the commands within it are not calls.
SCRIPT_CALLS = ("evalsha", "eval", "script|load")


@dataclass(frozen=True)
class Taken:
    """The permits of one run: what each cost, in milliseconds, and the calls for all of them."""

    costs: list[float]
    calls: int

    @property
    def calls_each(self) -> float:
        """Calls of Redis for a permit."""
        return self.calls / len(self.costs)


def measure(options: Options) -> Iterator[Figure]:
    """A crowd without a limit, which stands in line for the processor; then one at the real rate.

    Only the second cost is the limiter's own, so only that one has a target.
    """
    seconds = options.pick(30, 5)
    crowd = run(NO_LIMIT, processes=PROCESSES, threads=THREADS, seconds=seconds)
    callers = f"{PROCESSES * THREADS} at no limit"
    speed = len(crowd.costs) / seconds
    yield Figure(what=f"{callers}: permits", value=speed, unit="permits/s")
    yield Figure(what=f"{callers}: p99", value=percentile(crowd.costs, 0.99), unit="ms")
    yield calls(callers, crowd)
    alone = run(REAL_RATE, processes=1, threads=1, seconds=options.pick(120, 20))
    caller = "one at the real rate"
    for share, target in ((0.5, None), (0.99, 5.0)):
        cost = percentile(alone.costs, share)
        yield Figure(what=f"{caller}: p{100 * share:.0f}", value=cost, unit="ms", target=target)
    yield calls(caller, alone)


def calls(callers: str, taken: Taken) -> Figure:
    """The figure of the calls."""
    return Figure(
        what=f"{callers}: Redis calls", value=taken.calls_each, unit="/permit", target=2.0
    )


def run(rate: str, *, processes: int, threads: int, seconds: float) -> Taken:
    """So many callers on a Redis of their own, whose history is known."""
    with redis_server() as url, connect(url) as client:
        limit = cast(Rate, parse_rate(rate))
        Limiter(client, limit).open(CREDENTIAL, quiet=timedelta(hours=1))
        before = script_calls(client)
        command = [sys.executable, "-m", "bench.taker", url, rate, str(threads), str(seconds)]
        takers = [
            subprocess.Popen(command, env=plain_environment(), stdout=subprocess.PIPE)
            for _ in range(processes)
        ]
        told = [taker.communicate()[0] for taker in takers]
        costs = [cost for one in told for cost in json.loads(one)]
        return Taken(costs, script_calls(client) - before)


def script_calls(client: "redis.Redis") -> int:
    """The scripts that were asked for so far."""
    stats = client.info("commandstats")
    return sum(int(stats.get(f"cmdstat_{name}", {}).get("calls", 0)) for name in SCRIPT_CALLS)
