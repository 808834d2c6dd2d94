"""Who pays: a real key, here or with a worker that is there, or nobody, as the sandbox plays."""

from sqlalchemy import select

from jobs import tallies
from jobs.credentials import Keyring, fingerprint
from jobs.db import Database
from jobs.embedded.lock import running
from jobs.errors import Conflict
from jobs.limiter.permits import connect
from jobs.models import Attempt, table
from jobs.presence import is_anybody_there, payers_there
from jobs.settings import Settings
from jobs.vault import open_vault

ATTEMPT = table(Attempt)

#: The key that the sandbox is asked with; it takes any.
SANDBOX_KEY = "sandbox"

PLAYED = (
    "jobs that were submitted to the sandbox are still open, and would be paid for now: cancel "
    "them (`darkroom batches`, `darkroom jobs`), or set DARKROOM_HOME to another folder"
)
REAL = (
    "STABILITY_API_KEY is not set, and jobs that were submitted to the API are still open, which "
    "the sandbox would answer with patterns: set the key, or set DARKROOM_HOME to another folder"
)
PLAYING = (
    "a worker is there that asks the sandbox, and would answer with patterns what is meant for the "
    "API: end the `darkroom up` or `run` that was started without STABILITY_API_KEY, or set "
    "DARKROOM_HOME to another folder"
)


def is_worked(settings: Settings) -> bool:
    """Whether a worker is there already: of this home, or anywhere on the same Redis."""
    if running(settings.home, "worker"):
        return True
    return settings.redis_url is not None and is_anybody_there(connect(settings.redis_url))


def is_played(settings: Settings) -> bool:
    """Whether a worker that is there asks the sandbox."""
    if running(settings.home, "sandbox"):
        return True
    if settings.redis_url is None:
        return False
    return fingerprint(SANDBOX_KEY) in payers_there(connect(settings.redis_url))


def is_play(settings: Settings, database: Database) -> bool:
    """Whether nothing is paid: there is no real key, neither here nor with whoever works."""
    if settings.api_keys or Keyring(database, (), open_vault(settings)).ids:
        return False
    return is_played(settings) or not is_worked(settings)


def check_not_mixed(settings: Settings, database: Database, *, is_sandbox: bool) -> None:
    """Raise Conflict if the jobs of one would come to the other: the API, or the sandbox.

    Whoever works already does what it does. Else whom the last call was made to tells for whom the
    open jobs are meant.
    """
    plays = is_sandbox or set(settings.api_keys) == {SANDBOX_KEY}
    if is_played(settings) and not plays:
        raise Conflict(PLAYING)
    if is_worked(settings):
        return
    with database.reading() as db:
        counts = tallies.counts(db)
        newest = select(ATTEMPT.c.credential_id).order_by(ATTEMPT.c.begun_at.desc()).limit(1)
        last = db.execute(newest).scalar()
    if last is None or counts.finished == counts.total:
        return
    if plays != (last == fingerprint(SANDBOX_KEY)):
        raise Conflict(REAL if plays else PLAYED)
