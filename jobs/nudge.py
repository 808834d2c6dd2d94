"""A wake-up call for the dispatcher. Losing one costs a tick, nothing else."""

import time

import redis

KEY = "darkroom:nudge"


def nudge(client: "redis.Redis") -> None:
    """Say that something is due now; silent when Redis is away."""
    try:
        with client.pipeline() as pipe:
            # One call is enough, however many ask for it.
            pipe.lpush(KEY, "1")
            pipe.ltrim(KEY, 0, 0)
            pipe.execute()
    except redis.RedisError:
        return


def wait_for_nudge(client: "redis.Redis", seconds: float) -> None:
    """Return at the next nudge, or after so long."""
    try:
        client.blpop([KEY], timeout=seconds)
    except redis.RedisError:
        time.sleep(seconds)
