"""Due rows -> Celery messages, only as many as can soon run. Nobody else sends work to Celery."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from celery import Celery
from kombu.exceptions import OperationalError as BrokerError
from redis import RedisError
from sqlalchemy import Connection

from jobs.credentials import Keyring
from jobs.db import Database
from jobs.errors import LimiterUnavailable
from jobs.limiter.permits import LONGEST, Limiter
from jobs.queue import breaker, leases
from jobs.queue.starts import Turns
from jobs.settings import Settings
from jobs.telemetry import Changes
from workers.app import EXECUTE

#: Jobs that wait in workers for a permit: about a second of the rate, so that priorities act
#: within a second, and never fewer than this.
LEAST_WAITING = 8
#: Ids in one message at the most; a message is one worker's.
MOST_IN_MESSAGE = 8


class Dispatcher:
    """Claims what is due and sends its ids. Several may run at once."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        limiter: Limiter,
        keyring: Keyring,
        app: Celery,
        changes: Changes,
    ) -> None:
        self._settings = settings
        self._database = database
        self._limiter = limiter
        self._keyring = keyring
        self._app = app
        self._changes = changes
        self._turns = Turns()

    def step(self) -> bool:
        """Send what is due and has room; tells whether more may be due now."""
        ready = self._ready_credentials()
        if ready is None:
            return False
        payers = set(ready).intersection(self._keyring.usable())
        now = self._database.now()
        lease = self._settings.lease
        with self._database.transaction() as db:
            load = leases.load(db)
            load = replace(load, waiting=max(load.waiting, self._slots_ahead(ready)))
            # What needs no permit goes on while all credentials rest.
            room = self._room(load, len(ready or self._keyring.ids))
            room_to_start = self._room(load, len(payers))
            starts = self._starts(db, now, room_to_start) if payers else 0
            ids = (
                leases.claim_due(
                    db,
                    now,
                    limit=room,
                    lease=lease,
                    starts=starts,
                    turns=self._turns,
                    may_ask=bool(ready),
                )
                if room
                else []
            )
        if ids:
            self._send(ids)
        return bool(ids) or (room_to_start if payers else room) == 0

    def _starts(self, db: Connection, now: datetime, room: int) -> int:
        """How many new jobs may be started: all there is room for, or a probe now and then."""
        probe_at = breaker.next_probe(db, now)
        self._changes.say("breaker", "ok" if probe_at is None else "open: answers are lost")
        if probe_at is None:
            return room
        return 1 if now >= probe_at and not leases.is_starting(db) else 0

    def _ready_credentials(self) -> Mapping[str, timedelta] | None:
        """The credentials whose next slot is so near that a job may wait for it, and how near.

        None when Redis is away, or no credential is known here.
        """
        soon = timedelta(seconds=1)
        if not self._keyring.ids:
            self._changes.say("credentials", "none known here: nothing is sent")
            return None
        self._changes.say("credentials", "ok")
        try:
            gauges = {i: self._limiter.look(i) for i in self._keyring.awake()}
        except LimiterUnavailable as error:
            self._changes.say("limiter", str(error))
            return None
        self._changes.say("limiter", "ok")
        return {
            i: gauge.free
            for i, gauge in gauges.items()
            if max(gauge.frozen, gauge.opens) < soon and gauge.free <= LONGEST
        }

    def _slots_ahead(self, ready: Mapping[str, timedelta]) -> int:
        """How many slots are taken that are still to come: somebody waits for each."""
        seconds = sum(free.total_seconds() for free in ready.values())
        return math.floor(seconds * self._settings.darkroom_rate.per_second)

    def _room(self, load: leases.Load, credentials: int) -> int:
        per_second = self._settings.darkroom_rate.per_second * credentials
        waiting = max(LEAST_WAITING, math.ceil(per_second))
        # Whoever's slot is further away than anybody waits goes back, and loses its place.
        soon = max(1, math.floor(per_second * LONGEST.total_seconds()))
        waiting = min(waiting, soon) - load.waiting
        in_flight = self._settings.darkroom_max_in_flight * credentials - load.leased
        return max(0, min(waiting, in_flight))

    def _send(self, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), MOST_IN_MESSAGE):
            message = list(ids[start : start + MOST_IN_MESSAGE])
            try:
                self._app.send_task(EXECUTE, args=[message])
            except (BrokerError, RedisError, OSError) as error:
                self._changes.say("broker", type(error).__name__)
                self._give_back(ids[start:])
                return
        self._changes.say("broker", "ok")

    def _give_back(self, ids: Sequence[str]) -> None:
        now = self._database.now()
        with self._database.transaction() as db:
            leases.unclaim(db, ids, now)
