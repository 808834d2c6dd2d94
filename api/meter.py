"""Counts what keys ask for, over all processes of the interface, and stops what is too much.

Without Redis nothing is counted and everybody comes in: money is guarded elsewhere, and reading
must go on.
"""

import math
import time
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import redis
from redis.asyncio import BlockingConnectionPool, Redis
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from jobs.errors import TooManyBytes, TooManyRequests
from jobs.keys import Caller
from jobs.limits import Limits
from jobs.telemetry import log

#: Nobody's request waits longer for the count.
PATIENCE_SECONDS = 0.25
#: After a failure nothing is asked for so long.
PAUSE_SECONDS = 1.0
CONNECTIONS = 8
#: A body of unknown length is counted in pieces of this size.
PIECE_BYTES = 256 * 1024

#: What the script says.
REQUESTS, BYTES = 1, 2


@dataclass(frozen=True)
class Reading:
    """What is left to a key, as its answers show it (draft-ietf-httpapi-ratelimit-headers)."""

    limits: Limits
    left: int

    @property
    def headers(self) -> dict[str, str]:
        """For every answer to the key."""
        return {
            "ratelimit-policy": f'"requests";q={self.limits.requests};w=1',
            "ratelimit": f'"requests";r={self.left};t=1',
        }


class Meter:
    """The counters in Redis; made and used in one event loop."""

    def __init__(self, address: str) -> None:
        pool = BlockingConnectionPool.from_url(
            address,
            max_connections=CONNECTIONS,
            timeout=PATIENCE_SECONDS,
            socket_timeout=PATIENCE_SECONDS,
            socket_connect_timeout=PATIENCE_SECONDS,
        )
        self._client: Redis = Redis.from_pool(pool)
        script = files("api").joinpath("meter.lua").read_text("utf-8")
        self._script = self._client.register_script(script)
        self._away_until = 0.0

    async def count(
        self, caller: Caller, *, size_bytes: int = 0, is_request: bool = True
    ) -> Reading | None:
        """Count a request and its bytes; raises TooManyRequests and TooManyBytes.

        None where the key has no limit that would have to be counted.
        """
        limits = caller.limits
        if not (limits.requests and is_request) and not (limits.bytes and size_bytes):
            return None
        told = await self._run(
            caller.key_id, limits.requests or 0, limits.bytes or 0, size_bytes, int(is_request)
        )
        if told is None:
            return None
        stopped_by, left, wait = told
        if stopped_by == REQUESTS:
            message = f"the key may send {limits.requests:,} requests in a second"
            raise TooManyRequests(message, retry_after_seconds=wait / 1e6)
        if stopped_by == BYTES:
            message = f"the key may upload {limits.bytes:,} bytes in a day; it ends at 0:00 UTC"
            raise TooManyBytes(message, retry_after_seconds=wait / 1e6)
        return Reading(limits, left) if limits.requests and is_request else None

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.aclose()

    async def _run(self, key_id: str, *args: int) -> Any:
        if time.monotonic() < self._away_until:
            return None
        name = f"darkroom:key:{{{key_id}}}"
        try:
            return await self._script(keys=[f"{name}:requests", f"{name}:bytes"], args=list(args))
        except redis.RedisError as error:
            self._away_until = time.monotonic() + PAUSE_SECONDS
            log.warning("lost_meter", reason=str(error))
            return None


def counted(receive: Receive, meter: Meter, caller: Caller) -> Receive:
    """A body whose length was not announced, counted while it comes."""
    owed = 0

    async def receive_and_count() -> Message:
        nonlocal owed
        message = await receive()
        owed += len(message.get("body", b""))
        if owed >= PIECE_BYTES or (owed and not message.get("more_body", False)):
            try:
                await meter.count(caller, size_bytes=owed, is_request=False)
            except TooManyBytes as error:
                # The framework lets nothing else through while it reads a body.
                wait = str(math.ceil(error.retry_after_seconds))
                raise HTTPException(429, str(error), {"retry-after": wait}) from error
            owed = 0
        return message

    return receive_and_count
