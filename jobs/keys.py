"""API keys: `dk_<id>_<secret>`, shown once; the database has the secret's SHA-256 and no more."""

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, insert, or_, select, update

from jobs.db import Database, ensure
from jobs.errors import Conflict, NotFound
from jobs.limits import NO_LIMITS, Limits
from jobs.models import Project, table
from jobs.models_api import ApiKey

KEY = table(ApiKey)
FORM = re.compile(r"dk_([0-9a-f]{12})_([0-9a-f]{48})")
#: A project's name is part of the keys in the bucket.
PROJECT_FORM = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")

#: How long a look at the database is good for, in seconds: so late may a revoked key still work.
FRESH_SECONDS = 1.0
#: Keys of which a process knows by heart; beyond, it starts anew.
MOST_KNOWN = 10_000
#: The last use is written so often, and not at each request.
USE_IS_NEWS = timedelta(minutes=1)


class Scope(StrEnum):
    """What a key may do."""

    #: Look at what the project has.
    READ = "read"
    #: Change it, and spend credits.
    SUBMIT = "submit"
    #: Everything.
    ADMIN = "admin"


@dataclass(frozen=True)
class Caller:
    """Whom a key speaks for."""

    key_id: str
    project_id: str
    scopes: frozenset[Scope]
    limits: Limits = NO_LIMITS

    def may(self, scope: Scope) -> bool:
        """Whether a key with these scopes may do what asks for `scope`."""
        return scope in self.scopes or Scope.ADMIN in self.scopes


def create_key(
    db: Connection,
    project_id: str,
    scopes: Iterable[Scope],
    now: datetime,
    *,
    expires_at: datetime | None = None,
    limits: Limits = NO_LIMITS,
) -> tuple[str, str]:
    """Make a key, and its project if need be; returns the key itself, once, and its id."""
    key_id, secret = secrets.token_hex(6), secrets.token_hex(24)
    ensure(db, table(Project), {"id": project_id, "created_at": now})
    row = {
        "id": key_id,
        "project_id": project_id,
        "secret_sha256": digest(secret),
        "scopes": sorted(set(scopes)),
        "created_at": now,
        "expires_at": expires_at,
        "limits": limits.as_row(),
    }
    db.execute(insert(KEY), row)
    return f"dk_{key_id}_{secret}", key_id


def list_keys(db: Connection, project_id: str | None = None) -> list[Row[Any]]:
    """All keys, or a project's, the newest first."""
    wanted = select(KEY).order_by(KEY.c.created_at.desc(), KEY.c.id)
    if project_id is not None:
        wanted = wanted.where(KEY.c.project_id == project_id)
    return list(db.execute(wanted))


def revoke_key(db: Connection, key_id: str, now: datetime) -> None:
    """End a key for good; raises NotFound."""
    lives = or_(KEY.c.revoked_at.is_(None), KEY.c.revoked_at > now)
    done = db.execute(update(KEY).where(KEY.c.id == key_id, lives).values(revoked_at=now))
    known = select(KEY.c.id).where(KEY.c.id == key_id)
    if done.rowcount == 0 and db.execute(known).first() is None:
        raise NotFound(f"there is no key {key_id}")


def rotate_key(
    db: Connection, key_id: str, now: datetime, *, overlap: timedelta
) -> tuple[str, str]:
    """A new key with the same project, scopes, limits and length of life; the old one ends after
    the overlap. Raises NotFound, and Conflict for one that has ended."""
    old = get_key(db, key_id)
    if has_ended(old, now):
        raise Conflict(f"the key {key_id} has ended; create another one")
    life = None if old.expires_at is None else old.expires_at - old.created_at
    # Its own end stays as it is, for one who has to ask for the new key once more.
    revoked_at = min(filter(None, (old.revoked_at, now + overlap)))
    db.execute(update(KEY).where(KEY.c.id == key_id).values(revoked_at=revoked_at))
    return create_key(
        db,
        old.project_id,
        old.scopes,
        now,
        expires_at=None if life is None else now + life,
        limits=limits_of(old),
    )


def set_limits(db: Connection, key_id: str, changes: Mapping[str, int | None]) -> Limits:
    """Change some of a key's limits; returns all of them. Raises NotFound and ValidationError."""
    row = get_key(db, key_id)
    limits = Limits.model_validate({**(row.limits or {}), **changes})
    db.execute(update(KEY).where(KEY.c.id == key_id).values(limits=limits.as_row()))
    return limits


def get_key(db: Connection, key_id: str) -> Row[Any]:
    """A key's row, which nobody else changes meanwhile; raises NotFound."""
    row = db.execute(select(KEY).where(KEY.c.id == key_id).with_for_update()).one_or_none()
    if row is None:
        raise NotFound(f"there is no key {key_id}")
    return row


def end_of(row: Row[Any]) -> datetime | None:
    """When a key ends, or did; None if it lives until it is revoked."""
    return min(filter(None, (row.expires_at, row.revoked_at)), default=None)


def has_ended(row: Row[Any], now: datetime) -> bool:
    """Whether a key is expired or revoked by now."""
    end = end_of(row)
    return end is not None and end <= now


def limits_of(row: Row[Any]) -> Limits:
    """A key's limits."""
    return Limits.model_validate(row.limits) if row.limits else NO_LIMITS


def find_caller(db: Connection, key_id: str, secret_sha256: str, now: datetime) -> Caller | None:
    """Whom this key speaks for; None if it is unknown, revoked or expired."""
    row = db.execute(select(KEY).where(KEY.c.id == key_id)).one_or_none()
    # An unknown key takes as long as a wrong one: what is compared is never absent.
    kept = row.secret_sha256 if row is not None else digest("")
    is_right = hmac.compare_digest(kept, secret_sha256)
    if row is None or not is_right or has_ended(row, now):
        return None
    scopes = frozenset(Scope(scope) for scope in row.scopes)
    return Caller(row.id, row.project_id, scopes, limits_of(row))


def note_use(db: Connection, key_id: str, now: datetime) -> None:
    """Write down that a key is used."""
    is_news = or_(KEY.c.last_used_at.is_(None), KEY.c.last_used_at < now - USE_IS_NEWS)
    db.execute(update(KEY).where(KEY.c.id == key_id, is_news).values(last_used_at=now))


def digest(secret: str) -> str:
    """What is kept of a secret: it has 192 random bits, so one round is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()


@dataclass(frozen=True)
class _Known:
    caller: Caller
    until: float
    use_noted: float


class Doorkeeper:
    """Tells whom a key speaks for, and remembers it for a second; safe to share by threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[tuple[str, str], _Known] = {}

    def recall(self, text: str) -> Caller | None:
        """The same as `admit`, as far as it is known by heart; asks nobody."""
        known = self._known.get(fingerprint_of(text))
        return known.caller if known is not None and time.monotonic() < known.until else None

    def admit(self, text: str) -> Caller | None:
        """Whom this key speaks for, or None; asks the database."""
        key_id, secret_sha256 = name = fingerprint_of(text)
        if not key_id:
            return None
        now = self._database.now()
        with self._database.reading() as db:
            caller = find_caller(db, key_id, secret_sha256, now)
        if caller is None:
            self._known.pop(name, None)
            return None
        self._remember(name, caller, now)
        return caller

    def admit_all(self, texts: Sequence[str]) -> list[Caller | None]:
        """The same for many keys; one that comes twice is asked for once."""
        return [self.recall(text) or self.admit(text) for text in texts]

    def _remember(self, name: tuple[str, str], caller: Caller, now: datetime) -> None:
        known, moment = self._known.get(name), time.monotonic()
        use_noted = known.use_noted if known is not None else float("-inf")
        if moment - use_noted >= USE_IS_NEWS.total_seconds():
            with self._database.transaction() as db:
                note_use(db, caller.key_id, now)
            use_noted = moment
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[name] = _Known(caller, moment + FRESH_SECONDS, use_noted)


def fingerprint_of(text: str) -> tuple[str, str]:
    """A key's id and its secret's hash; empty for what is no key."""
    found = FORM.fullmatch(text)
    return (found[1], digest(found[2])) if found else ("", "")
