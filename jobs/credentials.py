"""The Stability keys: which there are, which may be used now, and what stopped the others.

The database knows a credential by its fingerprint. The key itself stays in this process.
"""

import hashlib
import time
from collections.abc import Sequence
from datetime import datetime
from threading import Lock

from sqlalchemy import Connection, select, update

from jobs.db import Database, ensure
from jobs.models import Credential, table

CREDENTIAL = table(Credential)
#: How long a look at the database is good for, in seconds.
FRESH_SECONDS = 1.0


def fingerprint(key: str) -> str:
    """A credential's id: tells keys apart, and does not tell them."""
    return "key-" + hashlib.sha256(b"darkroom credential " + key.encode()).hexdigest()[:12]


class Keyring:
    """The keys of this process; safe to share between threads."""

    def __init__(self, database: Database, keys: Sequence[str]) -> None:
        self._database = database
        self._keys = {fingerprint(key): key for key in keys}
        self._lock = Lock()
        self._usable: tuple[tuple[str, ...], float] | None = None

    def __repr__(self) -> str:
        return f"Keyring({', '.join(self._keys)})"

    @property
    def ids(self) -> tuple[str, ...]:
        """All credentials of this process."""
        return tuple(self._keys)

    def key(self, credential_id: str) -> str | None:
        """The key itself, for one header of one request."""
        return self._keys.get(credential_id)

    def register(self) -> None:
        """Make the credentials known to the database."""
        now = self._database.now()
        with self._database.transaction() as db:
            for number, credential_id in enumerate(self._keys, start=1):
                row = {"id": credential_id, "name": f"setting {number}", "created_at": now}
                ensure(db, CREDENTIAL, row)

    def usable(self) -> tuple[str, ...]:
        """The credentials that may be used now; a second old at the most."""
        seen = self._usable
        if seen is None or time.monotonic() - seen[1] > FRESH_SECONDS:
            with self._lock, self._database.reading() as db:
                stopped = set(stopped_credentials(db))
            seen = (tuple(i for i in self._keys if i not in stopped), time.monotonic())
            self._usable = seen
        return seen[0]

    def forget(self) -> None:
        """Look again at the next question."""
        self._usable = None


def stopped_credentials(db: Connection) -> dict[str, str]:
    """The credentials that may not be used, with the reasons."""
    rows = db.execute(
        select(CREDENTIAL.c.id, CREDENTIAL.c.stop_reason).where(
            CREDENTIAL.c.stopped_at.is_not(None)
        )
    )
    return {row.id: row.stop_reason for row in rows}


def stop(db: Connection, credential_id: str, reason: str, now: datetime) -> bool:
    """Use a credential no more until a check says otherwise; tells whether this is news."""
    done = db.execute(
        update(CREDENTIAL)
        .where(CREDENTIAL.c.id == credential_id, CREDENTIAL.c.stopped_at.is_(None))
        .values(stopped_at=now, stop_reason=reason)
    )
    return done.rowcount == 1


def record_balance(db: Connection, credential_id: str, milli: int, now: datetime) -> None:
    """Keep what the API says is left; credits start a credential again that had none."""
    values: dict[str, object] = {"balance_milli": milli, "checked_at": now}
    if milli > 0:
        values |= {"stopped_at": None, "stop_reason": None}
    db.execute(update(CREDENTIAL).where(CREDENTIAL.c.id == credential_id).values(values))
