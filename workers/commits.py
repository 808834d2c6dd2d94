"""One writer for each process: changes that wait at the same time are committed together."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime
from threading import Condition, Thread
from typing import Any, TypeVar

from sqlalchemy import Connection

from jobs.db import Database

#: More in one transaction would make the first of them wait too long.
MOST_TOGETHER = 64

T = TypeVar("T")
Change = Callable[[Connection, datetime], T]


class Committer:
    """Runs changes in transactions of its own thread.

    While one transaction commits, the changes that come in meanwhile gather for the next: under
    load many share the price of one commit, and an idle process waits for nobody.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: deque[tuple[Change[Any], Future[Any]]] = deque()
        self._changed = Condition()
        self._closed = False
        self._thread = Thread(target=self._work, name="committer", daemon=True)
        self._thread.start()

    def run(self, change: Change[T]) -> T:
        """Run `change(connection, now)` and return its result once it is committed.

        It may run twice if a neighbour in its transaction fails, so it must do nothing but use
        the connection. Raises what the change, or the database, raises.
        """
        future: Future[T] = Future()
        with self._changed:
            if self._closed:
                raise RuntimeError("this process is ending")
            self._waiting.append((change, future))
            self._changed.notify()
        return future.result()

    def close(self) -> None:
        """Commit what waits, and end."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                size = min(len(self._waiting), MOST_TOGETHER)
                together = [self._waiting.popleft() for _ in range(size)]
            if not together:
                return
            self._commit(together)

    def _commit(self, together: list[tuple[Change[Any], Future[Any]]]) -> None:
        try:
            now = self._database.now()
            with self._database.transaction() as db:
                results = [change(db, now) for change, _ in together]
        except BaseException as error:
            if len(together) == 1:
                together[0][1].set_exception(error)
                return
            # One of them is to blame: alone, each gets its own answer.
            for one in together:
                self._commit([one])
            return
        for (_, future), result in zip(together, results, strict=True):
            future.set_result(result)
