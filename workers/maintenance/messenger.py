"""Brings webhooks to their receivers, in threads of its own: job work never waits for one."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock, Thread
from typing import Any

from sqlalchemy import Row
from sqlalchemy.exc import SQLAlchemyError

from jobs.db import Database
from jobs.guard import guard_of
from jobs.settings import Settings
from jobs.telemetry import log
from jobs.webhooks import deliveries, sending
from jobs.webhooks.secrets import open_signer

#: Messages on their way at once.
THREADS = 16
#: Between two looks at the queue, and after a failure of the database.
LOOK_SECONDS = 0.5
AWAY_SECONDS = 2.0


class Messenger:
    """One process's share of the deliveries; any number of processes may have one."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._database = database
        self._guard = guard_of(settings)
        self._signer = open_signer(settings)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="webhook")
        self._busy: Counter[str] = Counter()
        self._lock = Lock()

    def start(self, stopping: Event) -> None:
        """Begin, in the background."""
        Thread(target=self.run, args=(stopping,), name="messenger", daemon=True).start()

    def run(self, stopping: Event) -> None:
        """Work until told to stop; what is on its way then is tried again by others."""
        while not stopping.is_set():
            try:
                has_more = self.step()
            except SQLAlchemyError as error:
                log.warning("webhooks_away", error=type(error).__name__)
                stopping.wait(AWAY_SECONDS)
                continue
            if not has_more:
                stopping.wait(LOOK_SECONDS)
        self.close()

    def close(self) -> None:
        """Take nothing more, and wait for what is on its way: seconds at the most."""
        self._pool.shutdown(cancel_futures=True)

    def step(self) -> bool:
        """Send what is due and has room; tells whether there was anything."""
        with self._lock:
            busy = Counter(self._busy)
        room = THREADS - busy.total()
        if room <= 0:
            return False
        now = self._database.now()
        with self._database.transaction() as db:
            claimed = deliveries.claim(db, now, limit=room, busy=busy)
        for row, endpoint in claimed:
            with self._lock:
                self._busy[endpoint.id] += 1
            self._pool.submit(self._deliver, row, endpoint)
        return bool(claimed)

    def _deliver(self, row: Row[Any], endpoint: Row[Any]) -> None:
        try:
            now = self._database.now()
            keys = self._signer.valid(endpoint, now)
            answer = sending.send(self._guard, endpoint, row, keys, now)
            with self._database.transaction() as db:
                deliveries.settle(db, row, answer, self._database.now())
        except Exception:
            # Its lease runs out, and it is tried again.
            log.exception("webhook_failed", delivery=row.id)
        finally:
            with self._lock:
                self._busy[endpoint.id] -= 1
                self._busy += Counter()
