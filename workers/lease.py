"""A process's leases, kept by one statement every few seconds."""

import time
from threading import Thread

from sqlalchemy.exc import SQLAlchemyError

from jobs import presence
from jobs.queue import leases
from jobs.telemetry import log
from workers.resources import Resources

#: Renewals in one lease: two may fail before anything is lost.
RENEWALS = 4
#: Between two signs of presence; they fade after three times as long.
PRESENCE_SECONDS = 5.0


class LeaseKeeper:
    """Renews, and knows for how long this process may still act as the owner."""

    def __init__(self, r: Resources) -> None:
        self._r = r
        self._period = r.settings.lease.total_seconds() / RENEWALS
        self._renewed_at = 0.0
        self._thread = Thread(target=self._work, name="lease-keeper", daemon=True)

    def start(self) -> None:
        """Begin to renew, and to be seen."""
        presence.announce(self._r.redis, self._r.owner)
        self._thread.start()

    def _work(self) -> None:
        while not self._r.ended.wait(min(self._period, PRESENCE_SECONDS)):
            presence.announce(self._r.redis, self._r.owner)
            if time.monotonic() - self._renewed_at >= self._period:
                self.renew()
        presence.leave(self._r.redis, self._r.owner)

    def renew(self) -> None:
        """Renew all leases of this process now."""
        r = self._r
        begun = self._renewed_at = time.monotonic()
        try:
            r.commits.run(
                lambda db, now: leases.keep(db, now, owner=r.owner, lease=r.settings.lease)
            )
        except SQLAlchemyError as error:
            r.changes.say("database", type(error).__name__)
            return
        except RuntimeError:
            log.debug("lease_keeper_ended")
            return
        r.changes.say("database", "ok")
        r.leased_until = begun + r.settings.lease.total_seconds()
