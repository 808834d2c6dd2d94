"""One writer for each process: changes that wait at the same time are committed together."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from threading import Condition, Thread
from typing import Any, TypeVar

from sqlalchemy import Connection

from jobs.db import Database

#: More in one transaction would make the first of them wait too long.
MOST_TOGETHER = 64

Item = TypeVar("Item")
T = TypeVar("T")
Change = Callable[[Connection, datetime], T]
#: Does something for all items of one transaction, and returns a result for each.
Verb = Callable[[Connection, Sequence[Item], datetime], Sequence[T]]


@dataclass(frozen=True)
class Waiting:
    """Something to be committed, and who waits for it."""

    verb: Verb[Any, Any]
    item: Any
    future: Future[Any] = field(default_factory=Future)


def each(db: Connection, changes: Sequence[Change[T]], now: datetime) -> list[T]:
    """The verb of changes that have nothing in common."""
    return [change(db, now) for change in changes]


class Notice:
    """A change that need not be committed if something else makes it needless in time."""

    def __init__(self, committer: "Committer", waiting: Waiting) -> None:
        self._committer = committer
        self._waiting = waiting

    def withdraw(self) -> bool:
        """Whether nobody has begun to commit it, and nobody will."""
        return self._committer.withdraw(self._waiting)

    def is_committed(self) -> bool:
        """Whether one that was begun surely was; after an error nobody knows."""
        return self._waiting.future.exception() is None


class Committer:
    """Runs changes in transactions of its own thread.

    While one transaction commits, the changes that come in meanwhile gather for the next: under
    load many share the price of one commit, and those of one verb also its statements. An idle
    process waits for nobody.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: deque[Waiting] = deque()
        #: By the time at which each is to be committed.
        self._later: deque[tuple[float, Waiting]] = deque()
        self._changed = Condition()
        self._closed = False
        self._thread = Thread(target=self._work, name="committer", daemon=True)
        self._thread.start()

    def run(self, change: Change[T]) -> T:
        """Run `change(connection, now)` and return its result once it is committed.

        It may run twice if a neighbour in its transaction fails, so it must do nothing but use
        the connection; and, since that may be a commit whose answer was lost, find out by a fence
        that it is done already. Raises what the change, or the database, raises.
        """
        return self.join(each, change)

    def join(self, verb: Verb[Item, T], item: Item) -> T:
        """Run `verb(connection, items, now)` with the items that others bring to it meanwhile.

        Returns this item's result once it is committed; else as `run`.
        """
        waiting = Waiting(verb, item)
        with self._changed:
            self._check_open()
            self._waiting.append(waiting)
            self._changed.notify()
        result: T = waiting.future.result()
        return result

    def soon(self, verb: Verb[Item, T], item: Item, seconds: float) -> "Notice":
        """Join in so many seconds, unless it is withdrawn before; all notices wait for as long."""
        notice = Waiting(verb, item)
        with self._changed:
            self._check_open()
            self._later.append((time.monotonic() + seconds, notice))
            if len(self._later) == 1:
                self._changed.notify()
        return Notice(self, notice)

    def withdraw(self, notice: Waiting) -> bool:
        """Whether nobody has begun to commit it, and nobody will."""
        with self._changed:
            found = next((one for one in self._later if one[1] is notice), None)
            if found is not None:
                self._later.remove(found)
            return found is not None

    def close(self) -> None:
        """Commit what waits, and end."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while together := self._gather():
            try:
                with self._database.connected() as connection:
                    # One connection for as long as there is more to do: taking one costs as much
                    # as a change.
                    while together:
                        self._commit(connection, together)
                        together = self._gather(is_patient=False)
            except BaseException as error:
                # There is no connection to be had.
                for one in together:
                    one.future.set_exception(error)

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("this process is ending")

    def _gather(self, *, is_patient: bool = True) -> list[Waiting]:
        """What waits now; with patience nothing only means the end."""
        with self._changed:
            self._join_due()
            while is_patient and not self._waiting and not self._closed:
                until = self._later[0][0] - time.monotonic() if self._later else None
                self._changed.wait(until)
                self._join_due()
            size = min(len(self._waiting), MOST_TOGETHER)
            return [self._waiting.popleft() for _ in range(size)]

    def _join_due(self) -> None:
        now = time.monotonic()
        while self._later and (self._closed or self._later[0][0] <= now):
            self._waiting.append(self._later.popleft()[1])

    def _commit(self, connection: Connection, together: Sequence[Waiting]) -> None:
        try:
            now = self._database.now()
            with connection.begin():
                results = [
                    (waiting, verb(connection, [one.item for one in waiting], now))
                    for verb, waiting in by_verb(together).items()
                ]
        except BaseException as error:
            if len(together) == 1:
                together[0].future.set_exception(error)
                return
            # One of them is to blame: alone, each gets its own answer.
            for one in together:
                self._commit(connection, [one])
            return
        for waiting, told in results:
            for one, result in zip(waiting, told, strict=True):
                one.future.set_result(result)


def by_verb(together: Sequence[Waiting]) -> dict[Verb[Any, Any], list[Waiting]]:
    """The waiting ones of each verb, in the order in which they came."""
    found: dict[Verb[Any, Any], list[Waiting]] = {}
    for one in together:
        found.setdefault(one.verb, []).append(one)
    return found
