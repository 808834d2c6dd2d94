"""Take permits as fast as they come and write down when each request arrived.

    python -m tests.integration.limiter.hammer REDIS_URL RATE SECONDS

The arrival's time is read from Redis, so that the arrivals of all processes are by one clock.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import cast

from jobs.limiter.permits import Limiter, NotNow, connect
from jobs.settings import Rate, parse_rate

THREADS = 4


def main(redis_url: str, rate: str, seconds: float) -> None:
    """Hammer until the time is up; prints one line for each arrival."""
    until = time.monotonic() + seconds
    with ThreadPoolExecutor(THREADS) as pool:
        found = [pool.submit(hammer, redis_url, rate, until) for _ in range(THREADS)]
    for arrivals in found:
        for at in arrivals.result():
            sys.stdout.write(f"{at}\n")


def hammer(redis_url: str, rate: str, until: float) -> list[int]:
    """One caller: its arrivals, in microseconds of the server's clock."""
    client = connect(redis_url)
    limiter = Limiter(client, cast(Rate, parse_rate(rate)))
    arrivals = []
    while time.monotonic() < until:
        permit = limiter.reserve(["a"])
        if isinstance(permit, NotNow):
            time.sleep(min(permit.wait.total_seconds(), 0.05))
            continue
        limiter.wait(permit)
        if not limiter.allows(permit):
            limiter.drop(permit)
            continue
        seconds, microseconds = client.time()
        arrivals.append(seconds * 1_000_000 + microseconds)
        # Every other caller dies, as it were, before it can tell.
        if len(arrivals) % 2:
            limiter.settle(permit, arrived_by=time.monotonic())
    client.close()
    return arrivals


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
