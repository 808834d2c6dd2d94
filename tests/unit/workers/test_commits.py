from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from threading import Event, Thread

import pytest
from sqlalchemy import Connection, text

from jobs.db import Database
from tests.servers import wait_until
from workers.commits import MOST_TOGETHER, Change, Committer, each

THREADS = 8
PATIENCE = 30


class Bad(Exception):
    """The change's own fault."""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path / 'notes.db'}")
    with opened.transaction() as db:
        db.execute(text("CREATE TABLE note (number INTEGER, together INTEGER)"))
    yield opened
    opened.close()


@pytest.fixture
def committer(database: Database) -> Iterator[Committer]:
    opened = Committer(database)
    yield opened
    opened.close()


class Gate:
    """Holds the committer's thread inside a change, so that others gather behind it."""

    def __init__(self, committer: Committer) -> None:
        self._entered, self._open = Event(), Event()
        self._thread = Thread(target=committer.run, args=(self._wait,))
        self._thread.start()
        assert self._entered.wait(PATIENCE)

    def _wait(self, _db: Connection, _now: datetime) -> None:
        self._entered.set()
        assert self._open.wait(PATIENCE)

    def open(self) -> None:
        self._open.set()
        self._thread.join()


def note(number: int) -> Change[int]:
    """Write a number, and the connection's transaction with it."""

    def change(db: Connection, _now: datetime) -> int:
        values = {"number": number, "together": id(db)}
        db.execute(text("INSERT INTO note VALUES (:number, :together)"), values)
        return number * 10

    return change


def fail(db: Connection, now: datetime) -> int:
    note(99)(db, now)
    raise Bad


def notes(database: Database) -> list[int]:
    with database.reading() as db:
        return list(db.execute(text("SELECT number FROM note ORDER BY number")).scalars())


def gather(
    committer: Committer, threads: ThreadPoolExecutor, changes: list[Change[int]]
) -> list[Future[int]]:
    """Let changes come in while the committer is busy, so that they wait at the same time."""
    gate = Gate(committer)
    futures = [threads.submit(committer.run, change) for change in changes]
    wait_until(lambda: len(committer._waiting) == len(changes), "all of them wait")
    gate.open()
    return futures


def test_a_change_is_committed_when_its_result_is_there(
    committer: Committer, database: Database
) -> None:
    assert committer.run(note(1)) == 10

    assert notes(database) == [1]


def test_changes_that_wait_together_are_committed_together(
    committer: Committer, database: Database
) -> None:
    with ThreadPoolExecutor(THREADS) as threads:
        futures = gather(committer, threads, [note(number) for number in range(THREADS)])

        assert [future.result() for future in futures] == [n * 10 for n in range(THREADS)]
    with database.reading() as db:
        assert db.execute(text("SELECT count(DISTINCT together) FROM note")).scalar() == 1


def test_neighbours_of_a_failing_change_are_committed(
    committer: Committer, database: Database
) -> None:
    with ThreadPoolExecutor(THREADS) as threads:
        first, failing, last = gather(committer, threads, [note(1), fail, note(3)])

        assert (first.result(), last.result()) == (10, 30)
        assert isinstance(failing.exception(), Bad)
    assert notes(database) == [1, 3]


def test_a_failing_change_leaves_nothing_behind(committer: Committer, database: Database) -> None:
    with pytest.raises(Bad):
        committer.run(fail)

    assert notes(database) == []
    assert committer.run(note(2)) == 20


def test_a_notice_is_committed_when_its_time_has_come(
    committer: Committer, database: Database
) -> None:
    notice = committer.soon(each, note(1), seconds=0.01)

    wait_until(lambda: notes(database) == [1], "it is committed")
    assert not notice.withdraw()
    assert notice.is_committed()


def test_a_notice_that_is_withdrawn_in_time_is_never_committed(database: Database) -> None:
    committer = Committer(database)
    first = committer.soon(each, note(1), seconds=60)
    committer.soon(each, note(2), seconds=60)

    assert first.withdraw()
    # The end brings the time of all others.
    committer.close()

    assert notes(database) == [2]


def test_a_notice_that_failed_is_neither_withdrawn_nor_committed(committer: Committer) -> None:
    notice = committer.soon(each, fail, seconds=0.0)

    assert not notice.is_committed()
    assert not notice.withdraw()


def test_more_than_fit_in_one_transaction_are_all_committed(
    committer: Committer, database: Database
) -> None:
    many = MOST_TOGETHER + 5
    with ThreadPoolExecutor(many) as threads:
        futures = gather(committer, threads, [note(number) for number in range(many)])

        assert [future.result() for future in futures] == [n * 10 for n in range(many)]
    assert notes(database) == list(range(many))


def test_closing_commits_what_waits(database: Database) -> None:
    committer = Committer(database)
    gate = Gate(committer)
    with ThreadPoolExecutor(THREADS) as threads:
        waiting = [threads.submit(committer.run, note(number)) for number in range(3)]
        wait_until(lambda: len(committer._waiting) == 3, "all of them wait")
        closing = threads.submit(committer.close)
        gate.open()
        closing.result()

        assert [future.result() for future in waiting] == [0, 10, 20]
    assert notes(database) == [0, 1, 2]


def test_nothing_is_accepted_after_the_end(database: Database) -> None:
    committer = Committer(database)
    committer.close()

    with pytest.raises(RuntimeError, match="ending"):
        committer.run(note(1))

    assert notes(database) == []


def test_a_change_is_told_the_time_of_the_database(
    committer: Committer, database: Database
) -> None:
    before = database.now()

    told = committer.run(lambda _db, now: now)

    assert before <= told <= database.now()
