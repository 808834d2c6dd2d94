"""Brings webhooks to their receivers, in threads of its own: job work never waits for one."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock, Thread

from sqlalchemy.exc import SQLAlchemyError

from jobs.db import Database
from jobs.guard import guard_of
from jobs.settings import Settings
from jobs.telemetry import log
from jobs.webhooks import deliveries, sending
from jobs.webhooks.deliveries import Answer, Errand, Room
from jobs.webhooks.secrets import open_signer

#: Messages on their way at once; of them, to endpoints that fail.
THREADS = 24
DOUBTFUL = 8
#: Between two looks at the queue, and after a failure of the database.
LOOK_SECONDS = 0.5
AWAY_SECONDS = 2.0

SECRET_UNKNOWN = (
    "secret_unknown: this machine does not know the secret that was shown; set the same "
    "DARKROOM_SECRET_KEY everywhere, or rotate the secret"
)


class Messenger:
    """One process's share of the deliveries; any number of processes may have one."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._database = database
        self._guard = guard_of(settings)
        self._signer = open_signer(settings)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="webhook")
        self._under_way: dict[str, Errand] = {}
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
        room = self._room()
        if room.all <= 0:
            return False
        now = self._database.now()
        with self._database.transaction() as db:
            errands = deliveries.claim(db, now, room)
        for errand in errands:
            with self._lock:
                self._under_way[errand.delivery.id] = errand
            self._pool.submit(self._deliver, errand)
        return bool(errands)

    def _room(self) -> Room:
        with self._lock:
            errands = list(self._under_way.values())
        return Room(
            all=THREADS - len(errands),
            doubtful=DOUBTFUL - sum(errand.is_doubtful for errand in errands),
            by_host=Counter(errand.endpoint.host for errand in errands),
        )

    def _deliver(self, errand: Errand) -> None:
        try:
            answer = self._try(errand)
            now = self._database.now()
            with self._database.transaction() as db:
                deliveries.settle(db, errand.delivery, answer, now)
        except SQLAlchemyError as error:
            # Its lease runs out, and it is tried again, under the same id.
            log.warning("webhooks_away", error=type(error).__name__, delivery=errand.delivery.id)
        finally:
            with self._lock:
                self._under_way.pop(errand.delivery.id, None)

    def _try(self, errand: Errand) -> Answer:
        if not self._signer.knows(errand.seal):
            log.error("webhook_secret_unknown", webhook=errand.endpoint.id)
            return Answer(None, error=SECRET_UNKNOWN)
        try:
            secrets = self._signer.valid(errand.seal, self._database.now())
            # Receivers refuse a message that is not of this moment.
            return sending.send(self._guard, errand, secrets, self._database.wall_time())
        except Exception:
            # It counts as a try: one that fails in this way each time is given up in the end.
            log.exception("webhook_failed", delivery=errand.delivery.id)
            return Answer(None, error="internal: the message could not be made; see the log")
