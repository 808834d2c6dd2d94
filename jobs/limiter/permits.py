"""Permits: the right to send one request to Stability, at a given moment, with one credential.

All processes share one count in Redis. When Redis does not answer nothing may be sent.
"""

import secrets
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from importlib.resources import files
from typing import Any

import redis

from jobs.errors import LimiterUnavailable
from jobs.settings import Rate

#: A request must begin so soon after its slot; a later one needs a new permit.
PUNCTUAL = timedelta(milliseconds=150)
#: By then a request that began in time has reached the API, as long as nothing more is known.
HOLD = timedelta(milliseconds=500)
#: From a request's last byte to its arrival; on top of that comes half of the time that it took to
#: connect, which is at least one way there. `scripts/simulate_limiter.py` has the figures.
REACH = timedelta(milliseconds=120)
#: For so long after a 429 a little of the rate stays unused.
EASING = timedelta(hours=1)
#: Of the rate, what is left to urgent work while it keeps coming.
URGENT_SHARE = 0.1
#: Arrivals that are told together with the next reservation; what is older is not worth telling.
MOST_ARRIVALS = 200
#: Nobody waits for a slot that is further away: the job goes back and its thread is free.
LONGEST = timedelta(seconds=3)


@dataclass(frozen=True)
class Permit:
    """A reserved slot; `at` is on this process's monotonic clock, in seconds."""

    credential_id: str
    token: str
    at: float


@dataclass(frozen=True)
class Arrival:
    """By when a request had arrived, on the monotonic clock."""

    credential_id: str
    token: str
    at: float


@dataclass(frozen=True)
class NotNow:
    """No slot is near enough; ask again after `wait`."""

    wait: timedelta


@dataclass(frozen=True)
class Gauge:
    """How a credential stands: slots in use, time until the thaw, until the count is known, and
    until the next slot for urgent work."""

    used: int
    frozen: timedelta
    opens: timedelta
    free: timedelta


class Limiter:
    """Reserves slots for all processes that share this Redis; safe to share between threads."""

    def __init__(
        self, client: "redis.Redis", rate: Rate, *, urgent_share: float = URGENT_SHARE
    ) -> None:
        self._rate = rate
        self._share = round(100 * urgent_share)
        self._window = microseconds(rate.window)
        #: When a freeze ends that this process saw begin, by the monotonic clock: it holds even if
        #: Redis was away and never heard of it.
        self._frozen: dict[str, float] = {}
        self._arrivals: deque[Arrival] = deque(maxlen=MOST_ARRIVALS)
        script = files("jobs.limiter").joinpath("limiter.lua").read_text("utf-8")
        self._script = client.register_script(script)

    def reserve(
        self,
        credential_ids: Sequence[str],
        *,
        longest: timedelta = LONGEST,
        ready_in: float = 0.0,
        is_urgent: bool = False,
    ) -> Permit | NotNow:
        """Reserve the next free slot of whichever credential has it first.

        It is no sooner than the caller can be ready, in seconds from now. Slots are given in the
        order in which they are asked for; but as long as urgent work keeps coming, the rest leaves
        it a share of them.
        """
        frozen_for = {i: self._frozen_for(i) for i in credential_ids}
        thawed = [i for i, seconds in frozen_for.items() if seconds == 0]
        if not thawed:
            return NotNow(timedelta(seconds=min(frozen_for.values())))
        token = secrets.token_hex(8)
        number, wait = self._run(
            thawed,
            "reserve",
            self._rate.requests,
            self._window,
            microseconds(HOLD),
            microseconds(longest),
            token,
            round(ready_in * 1e6),
            int(is_urgent),
            self._share,
            *self._told(thawed),
        )
        # The clock is read after the answer: the slot can only be a little later than it should.
        now = time.monotonic()
        if number == 0:
            return NotNow(timedelta(microseconds=wait))
        return Permit(thawed[number - 1], token, now + wait / 1e6)

    def wait(self, permit: Permit, *, early: float = 0.0) -> None:
        """Sleep until the slot has come, or until so many seconds before."""
        remaining = permit.at - early - time.monotonic()
        if remaining > 0:
            time.sleep(remaining)

    def allows(self, permit: Permit) -> bool:
        """Whether the request may begin now: not too late for its slot, nor in a freeze.

        Redis is asked again: while the slot was waited for a freeze may have come, or Redis may
        have lost the count, or its clock may have been set.
        """
        if self._frozen_for(permit.credential_id) > 0:
            return False
        try:
            is_allowed = self._run([permit.credential_id], "allow", self._window, permit.token)
        except LimiterUnavailable:
            return False
        # The clock is read last: Redis may have taken seconds to answer.
        return is_allowed == 1 and time.monotonic() <= permit.at + PUNCTUAL.total_seconds()

    def settle(self, permit: Permit, *, arrived_by: float | None) -> None:
        """Say when a request had surely arrived, by the monotonic clock; None means just now.

        The slot counts for a window from then. Without Redis it stays as it was assumed.
        """
        now = time.monotonic()
        arrived_by = now if arrived_by is None else arrived_by
        if arrived_by <= permit.at + HOLD.total_seconds():
            # It only gives the slot back earlier, ten seconds from now: that can wait for the next
            # reservation, and does no harm if it is never told.
            self._arrivals.append(Arrival(permit.credential_id, permit.token, arrived_by))
            return
        ago = now - arrived_by
        with suppress(LimiterUnavailable):
            self._run(
                [permit.credential_id], "settle", self._window, round(ago * 1e6), permit.token
            )

    def drop(self, permit: Permit) -> None:
        """Give a slot back that was not used; without Redis it comes back by itself."""
        with suppress(LimiterUnavailable):
            self._run([permit.credential_id], "drop", permit.token)

    def freeze(self, credential_id: str, duration: timedelta) -> None:
        """Stop everybody's requests with this credential."""
        self._frozen[credential_id] = time.monotonic() + duration.total_seconds()
        with suppress(LimiterUnavailable):
            self._run([credential_id], "freeze", microseconds(duration), microseconds(EASING))

    def open(self, credential_id: str, *, quiet: timedelta) -> None:
        """Say how long nothing was sent, where that is known: else a full window is waited."""
        self._run([credential_id], "open", self._window, microseconds(quiet))

    def look(self, credential_id: str) -> Gauge:
        """How the credential stands."""
        used, *waits = self._run([credential_id], "look", self._rate.requests, self._window)
        return Gauge(used, *(timedelta(microseconds=wait) for wait in waits))

    def _told(self, credential_ids: Sequence[str]) -> Iterator[str | int]:
        """What the script is to know of earlier requests with these credentials."""
        now = time.monotonic()
        for _ in range(len(self._arrivals)):
            try:
                one = self._arrivals.popleft()
            except IndexError:
                return
            if now > one.at + self._rate.window.total_seconds() + HOLD.total_seconds():
                # Its slot has ended by itself.
                continue
            if one.credential_id not in credential_ids:
                # Polls ask for one credential only; the others' arrivals wait for their own turn.
                self._arrivals.append(one)
                continue
            yield from (
                credential_ids.index(one.credential_id) + 1,
                one.token,
                round((now - one.at) * 1e6),
            )

    def _frozen_for(self, credential_id: str) -> float:
        return max(0.0, self._frozen.get(credential_id, 0.0) - time.monotonic())

    def _run(self, credential_ids: Sequence[str], *args: str | int) -> Any:
        keys = [
            f"darkroom:{{{credential_id}}}:{part}"
            for credential_id in credential_ids
            for part in ("slots", "state")
        ]
        try:
            return self._script(keys=keys, args=list(args))
        except redis.RedisError as error:
            raise LimiterUnavailable(
                f"no permit can be had, nothing is sent: Redis: {type(error).__name__}"
            ) from error


def reach(connect_seconds: float, distance: float) -> float:
    """Seconds from the last byte to the arrival, at the most: by what connecting told, and by what
    other requests did, whichever is longer."""
    return max(REACH.total_seconds() + connect_seconds / 2, distance)


def microseconds(duration: timedelta) -> int:
    """A duration as the script counts it."""
    return duration // timedelta(microseconds=1)


def connect(url: str) -> "redis.Redis":
    """A client that gives up after seconds, not never: a frozen server must not hang us."""
    return redis.Redis.from_url(
        url, socket_timeout=5, socket_connect_timeout=5, health_check_interval=10
    )
