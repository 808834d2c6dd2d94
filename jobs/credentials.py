"""The Stability keys: which there are, which may be used now, and what stopped the others.

The database knows a credential by its fingerprint, and keeps the key itself only sealed.
"""

import hashlib
import time
from collections.abc import Collection, Sequence
from datetime import datetime
from threading import Lock
from typing import Any

from sqlalchemy import Connection, Row, func, or_, select, union_all, update

from jobs.db import Database, ensure
from jobs.errors import Conflict, NotFound
from jobs.models import Credential, Job, table
from jobs.states import JobState
from jobs.vault import Vault

CREDENTIAL = table(Credential)
JOB = table(Job)
#: How long a look at the database is good for, in seconds.
FRESH_SECONDS = 1.0
#: `stop_reason` of a credential whose account is empty, whose key was refused, and of one that a
#: person stopped: each takes the place of those before it.
NO_FUNDS, BAD_KEY, BY_HAND = "funds", "key", "by hand"
STOP_REASONS = (NO_FUNDS, BAD_KEY, BY_HAND)
#: The jobs that wait for a credential: apart, each has an index of its own.
WAITING = union_all(
    select(JOB.c.estimated_milli).where(JOB.c.state == JobState.QUEUED, JOB.c.due_at.is_not(None)),
    select(JOB.c.estimated_milli).where(JOB.c.state == JobState.HELD, JOB.c.held_for == "funds"),
).subquery()
#: What the cheapest of them costs; 0 if there is none.
CHEAPEST = select(func.coalesce(func.min(WAITING.c.estimated_milli), 0)).scalar_subquery()


def fingerprint(key: str) -> str:
    """A credential's id: tells keys apart, and does not tell them."""
    return "key-" + hashlib.sha256(b"darkroom credential " + key.encode()).hexdigest()[:12]


class Keyring:
    """The keys that this process may use; safe to share between threads."""

    def __init__(self, database: Database, keys: Sequence[str], vault: Vault | None = None) -> None:
        self._database = database
        self._vault = vault
        self._settings_keys = {fingerprint(key): key for key in keys}
        self._keys = dict(self._settings_keys)
        self._usable: tuple[str, ...] = ()
        self._awake: tuple[str, ...] = ()
        self._looked_at: float | None = None
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"Keyring({', '.join(self._keys)})"

    @property
    def ids(self) -> tuple[str, ...]:
        """All credentials of this process, stopped ones too."""
        self._look()
        return tuple(self._keys)

    def key(self, credential_id: str) -> str | None:
        """The key itself, for one header of one request."""
        self._look()
        return self._keys.get(credential_id)

    def usable(self) -> tuple[str, ...]:
        """The credentials that may pay now; a second old at the most."""
        self._look()
        return self._usable

    def awake(self) -> tuple[str, ...]:
        """The same, and those that are paused or out of funds: they may ask for what they paid."""
        self._look()
        return self._awake

    def forget(self) -> None:
        """Look again at the next question."""
        self._looked_at = None

    def register(self) -> None:
        """Make the keys of the settings known to the database."""
        now = self._database.now()
        with self._database.transaction() as db:
            for number, credential_id in enumerate(self._settings_keys, start=1):
                row = {"id": credential_id, "name": f"setting {number}", "created_at": now}
                ensure(db, CREDENTIAL, row)

    def _look(self) -> None:
        with self._lock:
            now = time.monotonic()
            if self._looked_at is not None and now - self._looked_at < FRESH_SECONDS:
                return
            with self._database.reading() as db:
                rows = db.execute(select(CREDENTIAL)).all()
            self._keys = self._settings_keys | self._opened(rows)
            stopped = {row.id: row.stop_reason for row in rows if row.stopped_at is not None}
            paused = {row.id for row in rows if row.paused_at is not None}
            self._awake = tuple(i for i in self._keys if stopped.get(i, NO_FUNDS) == NO_FUNDS)
            self._usable = tuple(i for i in self._awake if i not in stopped and i not in paused)
            self._looked_at = now

    def _opened(self, rows: Sequence[Row[*tuple[Any, ...]]]) -> dict[str, str]:
        if self._vault is None:
            return {}
        sealed = {row.id: row.sealed_key for row in rows if row.sealed_key is not None}
        opened = {i: self._keys.get(i) or self._vault.open(text) for i, text in sealed.items()}
        return {i: key for i, key in opened.items() if key is not None}


def add_credential(db: Connection, vault: Vault, key: str, name: str, now: datetime) -> str:
    """Keep a key, sealed; returns the credential's id. The same key again changes its name."""
    credential_id = fingerprint(key)
    ensure(db, CREDENTIAL, {"id": credential_id, "name": name, "created_at": now})
    db.execute(
        update(CREDENTIAL)
        .where(CREDENTIAL.c.id == credential_id)
        .values(name=name, sealed_key=vault.seal(key), stopped_at=None, stop_reason=None)
    )
    return credential_id


def list_credentials(db: Connection) -> list[Row[*tuple[Any, ...]]]:
    """All credentials, the oldest first."""
    return list(db.execute(select(CREDENTIAL).order_by(CREDENTIAL.c.created_at)))


def get_credential(db: Connection, name_or_id: str) -> Row[*tuple[Any, ...]]:
    """A credential by its id, or by a name that no other has; raises NotFound and Conflict."""
    is_meant = (CREDENTIAL.c.id == name_or_id) | (CREDENTIAL.c.name == name_or_id)
    found = db.execute(select(CREDENTIAL).where(is_meant)).all()
    meant = [row for row in found if row.id == name_or_id] or found
    if not meant:
        raise NotFound(f"there is no credential {name_or_id}")
    if len(meant) > 1:
        raise Conflict(f"{len(meant)} credentials are called {name_or_id!r}: say which by its id")
    return meant[0]


def stopped_credentials(db: Connection) -> dict[str, str]:
    """The credentials that may not be used, with the reasons."""
    rows = db.execute(
        select(CREDENTIAL.c.id, CREDENTIAL.c.stop_reason).where(
            CREDENTIAL.c.stopped_at.is_not(None)
        )
    )
    return {row.id: row.stop_reason for row in rows}


def stop(db: Connection, credential_id: str, reason: str, now: datetime) -> bool:
    """Pay nothing with a credential until a check says otherwise; tells whether this is news."""
    lesser = STOP_REASONS[: STOP_REASONS.index(reason)]
    is_news = or_(CREDENTIAL.c.stopped_at.is_(None), CREDENTIAL.c.stop_reason.in_(lesser))
    done = db.execute(
        update(CREDENTIAL)
        .where(CREDENTIAL.c.id == credential_id, is_news)
        .values(stopped_at=now, stop_reason=reason)
    )
    return done.rowcount == 1


def start(db: Connection, credential_id: str) -> None:
    """Use a credential again."""
    db.execute(
        update(CREDENTIAL)
        .where(CREDENTIAL.c.id == credential_id)
        .values(stopped_at=None, stop_reason=None)
    )


def pause(db: Connection, credential_id: str, now: datetime | None) -> None:
    """Pay nothing more with it, and go on asking for what it paid; None goes on."""
    db.execute(update(CREDENTIAL).where(CREDENTIAL.c.id == credential_id).values(paused_at=now))


def record_balance(db: Connection, credential_id: str, milli: int, now: datetime) -> None:
    """Keep what the API says is left; credits start a credential again that a check had stopped.

    One without funds pays again once it has enough for any job that waits; one that a person
    stopped stays so.
    """
    db.execute(
        update(CREDENTIAL)
        .where(CREDENTIAL.c.id == credential_id)
        .values(balance_milli=milli, checked_at=now)
    )
    if milli > 0:
        may_pay = (CREDENTIAL.c.stop_reason == NO_FUNDS) & (milli >= CHEAPEST)
        db.execute(
            update(CREDENTIAL)
            .where(
                CREDENTIAL.c.id == credential_id, may_pay | (CREDENTIAL.c.stop_reason == BAD_KEY)
            )
            .values(stopped_at=None, stop_reason=None)
        )


def balances_to_spend(db: Connection, credential_ids: Collection[str]) -> list[int | None]:
    """What is left on those of the credentials that may pay; None where that is not known."""
    rows = db.execute(select(CREDENTIAL).where(CREDENTIAL.c.id.in_(credential_ids))).all()
    barred = {row.id for row in rows if row.stopped_at is not None or row.paused_at is not None}
    told = {row.id: row.balance_milli for row in rows}
    return [told.get(i) for i in credential_ids if i not in barred]
