"""Fetching in the threads of one worker: few at once, and each address by one of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from jobs.errors import DarkroomError
from jobs.fetches import Fetcher
from jobs.references import Fetched

#: One thread of so many may fetch: slow hosts leave the others to paid calls.
SHARE = 4


class Busy(DarkroomError):
    """Others fetch now; come again."""

    code = "fetching"
    retryable = True


class FetchDesk:
    """Fetches, or says at once that there is no room; nobody waits in a thread."""

    def __init__(self, fetcher: Fetcher, *, threads: int) -> None:
        self.fetcher = fetcher
        self._most = max(1, threads // SHARE)
        self._lock = Lock()
        self._under_way: set[tuple[str, str]] = set()

    def fetch(self, project_id: str, reference: Fetched) -> str:
        """The asset that it becomes; raises Busy, and what the fetcher raises."""
        with self._place((project_id, str(reference))):
            return self.fetcher.fetch(project_id, reference)

    @contextmanager
    def _place(self, what: tuple[str, str]) -> Iterator[None]:
        with self._lock:
            if what in self._under_way or len(self._under_way) >= self._most:
                raise Busy
            self._under_way.add(what)
        try:
            yield
        finally:
            with self._lock:
                self._under_way.discard(what)
