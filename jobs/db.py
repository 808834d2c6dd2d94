"""The database: engine, transactions, and the clock it lends to everybody.

Only `transaction()`, and whoever is `connected()`, commit.
"""

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event, text
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnection

from jobs.clock import AnchoredClock, BootClock, Clock, LocalClock
from jobs.errors import SettingsError

#: How long a writer of SQLite waits for the one before it.
SQLITE_WAIT_SECONDS = 30
SQLITE_RETRY_SECONDS = 0.01


class Database:
    """One database and its connections; safe to share between threads."""

    def __init__(self, address: str, *, connections: int = 8) -> None:
        self.engine = make_engine(address, connections)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        self._clock: Clock = (
            self._boot_clock() if self.is_sqlite else AnchoredClock(self._server_time)
        )

    def now(self) -> datetime:
        """The database's time, aware and in UTC."""
        return self._clock.now()

    def wall_time(self) -> datetime:
        """The time as the world outside tells it; SQLite's clock of leases may have left it."""
        return datetime.now(UTC) if self.is_sqlite else self.now()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection whose changes are committed at the end, or undone by an exception."""
        with self.engine.begin() as connection:
            yield connection

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """A connection for one transaction after the other, each in its own `begin()`."""
        with self.engine.connect() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for questions only: all of them see the database at one moment."""
        options: dict[str, Any] = {"reading": True}
        if not self.is_sqlite:
            options["isolation_level"] = "REPEATABLE READ"
        with self.engine.connect().execution_options(**options) as connection:
            yield connection

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()

    def _boot_clock(self) -> Clock:
        path = self.engine.url.database
        return BootClock(Path(path)) if path and path != ":memory:" else LocalClock()

    def _server_time(self) -> datetime:
        with self.engine.connect() as connection:
            told: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        return told.astimezone(UTC)


def is_away(error: BaseException) -> bool:
    """Whether the database may take the same statement later: it is away, locked or read-only.

    A database that hangs keeps all connections, and there is none to be had: it is away, too.
    """
    if isinstance(error, NoConnection):
        return True
    if not isinstance(error, DBAPIError):
        return False
    names = {"OperationalError", "InterfaceError", "InternalError"}
    return error.connection_invalidated or type(error).__name__ in names


def make_engine(address: str, connections: int) -> Engine:
    """An engine for SQLite or Postgres; raises SettingsError for an address it cannot read."""
    try:
        url = make_url(address)
    except ArgumentError as error:
        raise SettingsError("DATABASE_URL cannot be read as an address") from error
    if url.get_backend_name() == "sqlite":
        engine = create_engine(
            url,
            pool_size=connections,
            connect_args={"timeout": SQLITE_WAIT_SECONDS},
            # As Postgres shows it: a search looks at the text.
            json_serializer=partial(json.dumps, ensure_ascii=False),
        )
        event.listen(engine, "connect", prepare_sqlite)
        event.listen(engine, "begin", begin_sqlite)
        return engine
    if url.get_backend_name() != "postgresql":
        raise SettingsError("DATABASE_URL must name SQLite or Postgres")
    return create_engine(
        url,
        pool_size=connections,
        max_overflow=connections,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": 5,
            "application_name": "darkroom",
            # A peer that vanished without a word is noticed within 15 s.
            "keepalives_idle": 5,
            "keepalives_interval": 5,
            "keepalives_count": 2,
            "tcp_user_timeout": 15_000,
        },
    )


def prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    """Let readers and the writer work at once, and let no commit be lost by a power cut."""
    # The driver begins no transaction by itself: `begin_sqlite` does.
    connection.isolation_level = None
    # SQLite's own knows the letters of ASCII only.
    connection.create_function("lower", 1, lower, deterministic=True)
    cursor = connection.cursor()
    switch_to_wal(cursor)
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def lower(value: object) -> str | None:
    """The small letters of a value in SQL."""
    return None if value is None else str(value).lower()


def switch_to_wal(cursor: sqlite3.Cursor) -> None:
    """Let readers see the last commit while a writer works; the file remembers it.

    Of two processes that switch a new file at the same moment SQLite refuses one at once instead
    of letting it wait: each holds the lock that the other would have to wait for.
    """
    deadline = time.monotonic() + SQLITE_WAIT_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            is_busy = error.sqlite_errorcode == sqlite3.SQLITE_BUSY
            if not is_busy or time.monotonic() > deadline:
                raise
            time.sleep(SQLITE_RETRY_SECONDS)
        else:
            return


def begin_sqlite(connection: Connection) -> None:
    """Take the write lock at the start: a later upgrade would fail instead of waiting."""
    reading = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def ensure_all(db: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> int:
    """Insert the rows whose keys are not there yet; returns how many were inserted."""
    if not rows:
        return 0
    dialect = sqlite_insert if db.dialect.name == "sqlite" else postgres_insert
    statement = dialect(table).on_conflict_do_nothing().returning(*table.primary_key)
    return len(db.execute(statement, rows).all())


def ensure(db: Connection, table: Table, row: dict[str, Any]) -> bool:
    """Insert a row unless one with its keys is there; tells whether it was inserted."""
    dialect = sqlite_insert if db.dialect.name == "sqlite" else postgres_insert
    statement = dialect(table).values(row).on_conflict_do_nothing()
    # On Postgres SQLAlchemy forgets an INSERT's row count unless it is asked for.
    done = db.execute(statement, execution_options={"preserve_rowcount": True})
    return done.rowcount == 1
