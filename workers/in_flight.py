"""The jobs that this process works on at once: each waits for its answer in a thread of its own."""

import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock, Semaphore

from jobs.queue import leases
from jobs.queue.moves import Claim
from jobs.telemetry import log
from workers.executor import execute
from workers.lease import LeaseKeeper
from workers.resources import Resources

#: How often a message that waits for room looks whether the process is to stop, in seconds.
STOP_CHECK_SECONDS = 0.5


class InFlight:
    """Takes dispatched jobs, as many as there are threads, and sees them through."""

    def __init__(self, r: Resources) -> None:
        self._r = r
        threads = r.settings.darkroom_worker_threads
        self._room = Semaphore(threads)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="job")
        #: How often each job is in hand: a worker that lost a job may still be at it when it comes
        #: again.
        self._held: Counter[str] = Counter()
        self._lock = Lock()
        self._keeper = LeaseKeeper(r, self._in_hand)

    def start(self) -> None:
        """Begin to keep leases."""
        self._keeper.renew()
        self._keeper.start()

    def admit(self, ids: Sequence[str]) -> None:
        """Take these jobs and work on them; returns once all are begun.

        Blocks while there is no room, and so keeps Celery from taking more messages. What is left
        when the process stops goes back to the dispatcher.
        """
        while ids:
            room = self._wait_for_room(len(ids))
            if room == 0:
                self._leave(ids)
                return
            self._begin(ids[:room])
            ids = ids[room:]

    def drain(self) -> bool:
        """Finish what is in flight within the grace time; tells whether all was."""
        self._r.stopping.set()
        deadline = time.monotonic() + self._r.settings.darkroom_grace_seconds
        threads = self._r.settings.darkroom_worker_threads
        return all(
            self._room.acquire(timeout=max(0.0, deadline - time.monotonic()))
            for _ in range(threads)
        )

    def _wait_for_room(self, most: int) -> int:
        """Get room for one job at least; for none only if the process is to stop."""
        while not self._room.acquire(timeout=STOP_CHECK_SECONDS):
            if self._r.stopping.is_set():
                return 0
        room = 1
        while room < most and self._room.acquire(blocking=False):
            room += 1
        return room

    def _begin(self, ids: Sequence[str]) -> None:
        r = self._r
        claims: list[Claim] = []
        # Before they are taken, so that no renewal in between leaves one of them out.
        with self._lock:
            self._held.update(ids)
        try:
            claims = r.commits.run(
                lambda db, now: leases.take(db, ids, now, owner=r.owner, lease=r.settings.lease)
            )
        finally:
            # A message may come twice, or late: then somebody else has the job, and nobody here.
            # Or the answer was lost, and with it what was taken: those leases run out.
            self._let_go(Counter(ids) - Counter(claim.id for claim in claims))
        for claim in claims:
            self._pool.submit(self._run, claim)

    def _let_go(self, jobs: Counter[str]) -> None:
        """Make room for others; from here on nobody renews the leases."""
        with self._lock:
            self._held -= jobs
        for _ in range(jobs.total()):
            self._room.release()

    def _in_hand(self) -> list[str]:
        with self._lock:
            return list(self._held)

    def _run(self, claim: Claim) -> None:
        try:
            execute(self._r, claim)
        except Exception:
            log.exception("settling_failed", job=claim.id)
            self._abandon(claim)
        finally:
            self._let_go(Counter([claim.id]))

    def _abandon(self, claim: Claim) -> None:
        """Let others find out how far a job came, without waiting for its lease to run out."""
        try:
            self._r.persist(lambda db, now: leases.abandon(db, claim, now))
        except Exception:
            # What stopped the settling stopped this, too, or the process ends: one try is all.
            log.exception("abandoning_failed", job=claim.id)

    def _leave(self, ids: Sequence[str]) -> None:
        self._r.commits.run(lambda db, now: leases.unclaim(db, ids, now))
