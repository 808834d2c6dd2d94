"""Permits taken as fast as they come, as a worker's threads take them.

    python -m bench.taker REDIS_URL RATE THREADS SECONDS

Prints the milliseconds that each permit cost its caller, the wait for the slot left out.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import cast

from jobs.limiter.permits import Limiter, NotNow, connect
from jobs.settings import Rate, parse_rate

CREDENTIAL = "bench"


def main(url: str, rate: str, threads: int, seconds: float) -> None:
    """Take permits until the time is over."""
    limiter = Limiter(connect(url), cast(Rate, parse_rate(rate)))
    deadline = time.monotonic() + seconds
    with ThreadPoolExecutor(threads) as pool:
        taking = [pool.submit(take, limiter, deadline) for _ in range(threads)]
    sys.stdout.write(json.dumps([cost for one in taking for cost in one.result()]))


def take(limiter: Limiter, deadline: float) -> list[float]:
    """One caller, and what each of its permits cost, in milliseconds."""
    costs = []
    while time.monotonic() < deadline:
        asked_at = time.perf_counter()
        permit = limiter.reserve([CREDENTIAL])
        cost = time.perf_counter() - asked_at
        if isinstance(permit, NotNow):
            time.sleep(permit.wait.total_seconds())
            continue
        limiter.wait(permit)
        asked_at = time.perf_counter()
        if limiter.allows(permit):
            limiter.settle(permit, arrived_by=time.monotonic())
            costs.append(1000 * (cost + time.perf_counter() - asked_at))
        else:
            limiter.drop(permit)
    return costs


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
