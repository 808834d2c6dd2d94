"""Which workers are there, and who pays: each says so in Redis every few seconds."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import redis

from jobs.identity import is_dead

PREFIX = "darkroom:worker:"
#: A worker that says nothing for so long is gone.
LIFE = timedelta(seconds=15)


def announce(client: "redis.Redis", owner: str, credential_ids: Iterable[str] = ()) -> None:
    """Say that this worker is there, and its credentials; silent when Redis is away."""
    try:
        client.set(PREFIX + owner, ",".join(credential_ids), ex=LIFE)
    except redis.RedisError:
        return


def leave(client: "redis.Redis", owner: str) -> None:
    """Say that it is not there any more; silent when Redis is away."""
    try:
        client.delete(PREFIX + owner)
    except redis.RedisError:
        return


def workers_there(client: "redis.Redis") -> list[str]:
    """The owner names of the workers that are there. Raises what redis raises."""
    found = (
        key.decode().removeprefix(PREFIX) for key in client.scan_iter(PREFIX + "*", count=1000)
    )
    return [owner for owner in found if not is_dead(owner)]


def payers_there(client: "redis.Redis") -> frozenset[str]:
    """The credentials that those workers announced; none, when Redis is away."""
    try:
        told: list[Any] = [client.get(PREFIX + owner) for owner in workers_there(client)]
    except redis.RedisError:
        return frozenset()
    return frozenset(name for line in told if line for name in line.decode().split(","))


def is_anybody_there(client: "redis.Redis") -> bool:
    """Whether there is a worker at all; no, when Redis is away."""
    try:
        return bool(workers_there(client))
    except redis.RedisError:
        return False
