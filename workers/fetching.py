"""Fetching for the jobs of one worker: few at once, and each address by one of them.

Fetches have threads of their own: no job need keep its thread, or its place among those that wait
for a permit, while a host takes its time.
"""

from concurrent.futures import Future
from threading import Condition, Thread

from jobs.errors import DarkroomError
from jobs.fetches import Fetcher
from jobs.references import Fetched

#: To so many threads for jobs comes one fetch.
SHARE = 4
#: How long a job waits in its thread for a place, and again for the end of the fetch.
PATIENCE_SECONDS = 0.3

Address = tuple[str, str]


class Busy(DarkroomError):
    """Others fetch now; come again."""

    code = "fetching"
    retryable = True


class FetchDesk:
    """Begins fetches, or says soon that there is no room; safe to share between threads."""

    def __init__(
        self, fetcher: Fetcher, *, threads: int, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        self.fetcher = fetcher
        self.patience_seconds = patience_seconds
        self._most = max(1, threads // SHARE)
        self._changed = Condition()
        self._under_way: dict[Address, Future[str]] = {}

    def begin(self, project_id: str, reference: Fetched) -> "Future[str]":
        """The asset that it becomes, for all who ask meanwhile; raises Busy."""
        address = project_id, str(reference)
        with self._changed:
            if not self._changed.wait_for(lambda: self._has_room(address), self.patience_seconds):
                raise Busy
            if address not in self._under_way:
                fetch: Future[str] = Future()
                # A daemon: a process that ends waits for no host.
                Thread(
                    target=self._run, args=(address, reference, fetch), name="fetch", daemon=True
                ).start()
                self._under_way[address] = fetch
            return self._under_way[address]

    def _has_room(self, address: Address) -> bool:
        return address in self._under_way or len(self._under_way) < self._most

    def _run(self, address: Address, reference: Fetched, fetch: "Future[str]") -> None:
        project_id, _ = address
        try:
            asset_id = self.fetcher.fetch(project_id, reference)
        except BaseException as error:
            self._end(address)
            fetch.set_exception(error)
        else:
            self._end(address)
            fetch.set_result(asset_id)

    def _end(self, address: Address) -> None:
        # Before it is told: whoever comes from then on wants a fetch of his own.
        with self._changed:
            del self._under_way[address]
            self._changed.notify_all()
