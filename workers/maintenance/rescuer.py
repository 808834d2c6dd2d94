"""Expired leases back to the queue: how a job survives its worker."""

from datetime import UTC, datetime, timedelta

from jobs.db import Database
from jobs.identity import is_dead
from jobs.queue import leases
from jobs.telemetry import log

#: Looks may be so far apart whatever the leases are: the beat has more to do.
LEAST_PAUSE = timedelta(seconds=2)
LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Rescuer:
    """Makes jobs due whose lease ran out, or whose owner, on this machine, is surely dead.

    A lease proves nothing that ran out while everybody stood still, as in a machine that slept:
    its owner may live, and wait for the answer to a paid call. So after a pause, and at the start,
    when nobody knows what was before, all owners get a lease's time to renew.
    """

    def __init__(self, database: Database, *, lease: timedelta, poll_gap: timedelta) -> None:
        self._database = database
        self._lease = lease
        self._poll_gap = poll_gap
        #: A lease is renewed four times while it lasts: after half of it one more comes in time.
        self._longest_pause = max(lease / 2, LEAST_PAUSE)
        self._looked_at = self._patient_until = LONG_AGO

    def look(self) -> int:
        """Rescue what is lost; returns how many jobs that were."""
        with self._database.reading() as db:
            dead = [owner for owner in leases.owners(db) if is_dead(owner)]
        now = self._database.now()
        is_patient = self._is_patient(now)
        with self._database.transaction() as db:
            rescued = leases.rescue(
                db, now, dead=dead, is_patient=is_patient, poll_gap=self._poll_gap
            )
        if rescued:
            log.warning("jobs_rescued", jobs=rescued, dead_workers=len(dead))
        return rescued

    def pause(self) -> None:
        """Count the time until the next look as a pause: nobody could renew."""
        self._looked_at = LONG_AGO

    def _is_patient(self, now: datetime) -> bool:
        # When the database's clock is set it looks the same, and is the same to whoever renews.
        if abs(now - self._looked_at) > self._longest_pause:
            self._patient_until = now + self._lease
        self._looked_at = now
        return now < self._patient_until
