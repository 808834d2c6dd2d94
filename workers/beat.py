"""The clock of Darkroom: dispatches what is due, and does each duty when it is time.

Any number of beats may run: what two of them do at once, they do to different rows.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from threading import Event

from sqlalchemy.exc import SQLAlchemyError

from jobs import idempotency, tallies
from jobs.balances import Teller
from jobs.credentials import Keyring
from jobs.db import Database, is_away
from jobs.limiter.permits import Limiter, connect
from jobs.nudge import wait_for_nudge
from jobs.queue import leases
from jobs.settings import Settings
from jobs.stability.client import StabilityClient
from jobs.telemetry import Changes, log
from jobs.vault import open_vault
from jobs.webhooks import journal
from jobs.webhooks.announcing import announce
from workers.app import make_sender
from workers.dispatcher import Dispatcher
from workers.maintenance.accountant import Accountant
from workers.maintenance.finisher import finish_begun, forget_fronts, keep_deadlines
from workers.maintenance.messenger import Messenger
from workers.maintenance.releaser import release_held_jobs
from workers.maintenance.rescuer import Rescuer
from workers.maintenance.scheduler import run_due_schedules
from workers.maintenance.waker import wake_waiting_jobs

#: Between two looks while there is work; then while there is none, unless a nudge comes, or a
#: result is to be asked for.
BUSY_SECONDS = 0.05
IDLE_SECONDS = 0.5
#: Redis takes no time at all for all of it.
LEAST_SECONDS = 0.01
#: After a failure of the database, and of anything else.
AWAY_SECONDS = 1.0


@dataclass
class Duty:
    """Something to be done every so often."""

    name: str
    every: float
    do: Callable[[], object]
    due: float = 0.0


class Beat:
    """One process's dispatcher and its duties, in one thread; what asks others has its own."""

    def __init__(self, settings: Settings, database: Database) -> None:
        assert settings.redis_url is not None
        self._database = database
        self._redis = connect(settings.redis_url)
        self._changes = Changes()
        limiter = Limiter(self._redis, settings.darkroom_rate)
        keyring = Keyring(database, settings.api_keys, open_vault(settings))
        teller = Teller(limiter, StabilityClient(settings.api_host), keyring, settings.freeze)
        app = make_sender(settings)
        self._dispatcher = Dispatcher(settings, database, limiter, keyring, app, self._changes)
        self._rescuer = Rescuer(database, lease=settings.lease, poll_gap=settings.poll_gap)
        self._messenger = Messenger(settings, database)
        self._accountant = Accountant(database, teller, settings.darkroom_balance_seconds)
        self._duties = [
            Duty("rescue", 1.0, self._rescuer.look),
            Duty("promises", 60.0, self._forget_promises),
            Duty("deliveries", 60.0, self._forget_deliveries),
            Duty("tally", 1.0, self._fold),
            Duty("waking", 0.5, lambda: wake_waiting_jobs(database)),
            Duty("schedules", 1.0, lambda: run_due_schedules(database)),
            Duty("finish", 0.25, lambda: finish_begun(database)),
            Duty("deadlines", 0.25, lambda: keep_deadlines(database)),
            Duty("fronts", 10.0, lambda: forget_fronts(database)),
            Duty("release", 2.0, lambda: release_held_jobs(database, keyring.ids)),
        ]

    def run(self, stopping: Event) -> None:
        """Work until told to stop."""
        self._messenger.start(stopping)
        self._accountant.start(stopping)
        while not stopping.is_set():
            try:
                is_busy = self.tick()
                rest = BUSY_SECONDS if is_busy else self._rest()
            except SQLAlchemyError as error:
                self._changes.say("database", type(error).__name__)
                # Nobody could renew a lease either, so one that ended meanwhile proves nothing.
                self._rescuer.pause()
                stopping.wait(AWAY_SECONDS)
                continue
            except Exception:
                log.exception("beat_failed", duty="dispatch")
                stopping.wait(AWAY_SECONDS)
                continue
            self._changes.say("database", "ok")
            if is_busy:
                stopping.wait(rest)
            else:
                wait_for_nudge(self._redis, rest)

    def tick(self) -> bool:
        """Do what is due once; tells whether there is more to do."""
        now = time.monotonic()
        for duty in self._duties:
            if now >= duty.due:
                duty.due = now + duty.every
                self._do(duty)
        return self._dispatcher.step()

    def _do(self, duty: Duty) -> None:
        try:
            duty.do()
        except Exception as error:
            if is_away(error):
                raise
            # What one duty meets, be it a tenant's row, keeps no other from being done.
            log.exception("beat_failed", duty=duty.name)
            duty.due = time.monotonic() + max(duty.every, AWAY_SECONDS)

    def _rest(self) -> float:
        now = self._database.now()
        with self._database.reading() as db:
            return rest_seconds(now, leases.next_to_go_on(db, now))

    def _forget_promises(self) -> None:
        now = self._database.now()
        with self._database.transaction() as db:
            idempotency.forget_old(db, now)

    def _fold(self) -> None:
        now = self._database.now()
        with self._database.transaction() as db:
            announce(db, tallies.fold_events(db), now)

    def _forget_deliveries(self) -> None:
        now = self._database.now()
        with self._database.transaction() as db:
            journal.forget_old(db, now)


def rest_seconds(now: datetime, next_at: datetime | None) -> float:
    """How long to wait for a nudge, when something is due at `next_at` and nothing before."""
    if next_at is None:
        return IDLE_SECONDS
    return min(IDLE_SECONDS, max(LEAST_SECONDS, (next_at - now).total_seconds()))
