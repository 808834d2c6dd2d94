"""Counts what keys ask for, over all processes of the interface, and stops what is too much.

Without Redis nothing is counted and everybody comes in: money is guarded elsewhere, and reading
must go on.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from api.gathering import Gathering
from jobs.errors import TooManyBytes, TooManyRequests
from jobs.keys import Caller
from jobs.limits import Limits
from jobs.telemetry import log

#: A Redis that takes longer to count is away.
PATIENCE_SECONDS = 0.25
#: After a failure nothing is asked for so long.
PAUSE_SECONDS = 1.0
#: A body of unknown length is counted in pieces of this size.
PIECE_BYTES = 256 * 1024

#: What the script says.
REQUESTS, BYTES = 1, 2

#: A key, and the script's arguments.
Count = tuple[str, Sequence[int]]


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
    """The counters in Redis; lives on one event loop.

    What comes at the same time shares a round trip, so that no flood has to wait until it looks as
    if Redis were away.
    """

    def __init__(self, address: str) -> None:
        self._client: redis.Redis = redis.Redis.from_url(
            address,
            socket_timeout=PATIENCE_SECONDS,
            socket_connect_timeout=PATIENCE_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        script = files("api").joinpath("meter.lua").read_text("utf-8")
        self._script = self._client.register_script(script)
        self._counts: Gathering[Count, Any] = Gathering(self._run)
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
        args = limits.requests or 0, limits.bytes or 0, size_bytes, int(is_request)
        told = await self._counts.join((caller.key_id, args))
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

    def close(self) -> None:
        """Give the connection back."""
        self._client.close()

    def _run(self, counts: Sequence[Count]) -> Sequence[Any]:
        if time.monotonic() < self._away_until:
            return [None] * len(counts)
        pipeline = self._client.pipeline(transaction=False)
        for key_id, args in counts:
            name = f"darkroom:key:{{{key_id}}}"
            self._script([f"{name}:requests", f"{name}:bytes"], args, client=pipeline)
        try:
            return pipeline.execute()
        except redis.RedisError as error:
            self._away_until = time.monotonic() + PAUSE_SECONDS
            log.warning("lost_meter", reason=str(error))
            return [None] * len(counts)


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
