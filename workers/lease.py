"""A process's leases, kept by one statement every few seconds."""

from collections.abc import Callable, Collection
from threading import Thread

from sqlalchemy.exc import SQLAlchemyError

from jobs import presence
from jobs.clock import uptime
from jobs.credentials import fingerprint
from jobs.queue import leases
from jobs.telemetry import log
from workers.resources import Resources

#: Renewals in one lease: two may fail before anything is lost.
RENEWALS = 4
#: Between two signs of presence; they fade after three times as long.
PRESENCE_SECONDS = 5.0


class LeaseKeeper:
    """Renews, and knows for how long this process may still act as the owner."""

    def __init__(self, r: Resources, held: Callable[[], Collection[str]]) -> None:
        """`held` tells the jobs that this process works on, or is about to take."""
        self._r = r
        self._held = held
        self._period = r.settings.lease.total_seconds() / RENEWALS
        # Two threads: a Redis that does not answer must not keep a lease from being renewed.
        self._threads = [
            Thread(target=self._keep, name="lease-keeper", daemon=True),
            Thread(target=self._be_seen, name="presence", daemon=True),
        ]

    def start(self) -> None:
        """Begin to renew, and to be seen."""
        for thread in self._threads:
            thread.start()

    def _keep(self) -> None:
        while not self._r.ended.wait(self._period):
            self.renew()

    def _be_seen(self) -> None:
        r = self._r
        payers = [fingerprint(key) for key in r.settings.api_keys]
        presence.announce(r.redis, r.owner, payers)
        while not r.ended.wait(PRESENCE_SECONDS):
            presence.announce(r.redis, r.owner, payers)
        presence.leave(r.redis, r.owner)

    def renew(self) -> None:
        """Renew the leases of all that is in the hands of this process now."""
        r = self._r
        begun = uptime()
        ids = self._held()
        try:
            r.commits.run(
                lambda db, now: leases.keep(db, ids, now, owner=r.owner, lease=r.settings.lease)
            )
        except SQLAlchemyError as error:
            r.changes.say("database", type(error).__name__)
            return
        except RuntimeError:
            log.debug("lease_keeper_ended")
            return
        r.changes.say("database", "ok")
        r.leased_until = begun + r.settings.lease.total_seconds()
