"""`darkroom doctor`: each part is tried for real, and gets one line."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlalchemy.exc import OperationalError, SQLAlchemyError

from jobs.cli.credits import credits_left
from jobs.cli.payer import is_worked
from jobs.cli.progress import standing
from jobs.db import Database
from jobs.errors import DarkroomError, PartUnavailable
from jobs.limiter.permits import connect
from jobs.models import DEFAULT_PROJECT
from jobs.projects import list_projects
from jobs.queue import brakes
from jobs.schema import HEAD, current_revision
from jobs.settings import Settings
from jobs.storage import open_storage
from jobs.telemetry import redact

Check = Callable[[Settings], str]


@dataclass(frozen=True)
class Finding:
    """How a check went."""

    name: str
    ok: bool
    text: str

    def line(self) -> str:
        """For people."""
        return f"{'ok  ' if self.ok else 'FAIL'}  {self.name:9}  {self.text}"


def examine(settings: Settings) -> Iterator[Finding]:
    """Run all checks, one after the other."""
    checks: dict[str, Check] = {
        "database": check_database,
        "broker": check_broker,
        "bucket": check_bucket,
        "key": check_key,
        "worker": check_worker,
        "brakes": check_brakes,
    }
    told = f"home {settings.home}, rate {settings.darkroom_rate}"
    yield Finding("settings", ok=True, text=told)
    for name, check in checks.items():
        yield find(name, check, settings)


def find(name: str, check: Check, settings: Settings) -> Finding:
    """Run one check."""
    begun = time.monotonic()
    try:
        told = check(settings)
    except (DarkroomError, SQLAlchemyError, OSError) as error:
        # The driver's own words, where SQLAlchemy only passes them on.
        first = str(getattr(error, "orig", error)).partition("\n")[0] or type(error).__name__
        return Finding(name, ok=False, text=redact(first))
    took = f"{(time.monotonic() - begun) * 1000:.0f} ms"
    return Finding(name, ok=True, text=f"{told} ({took})")


def check_database(settings: Settings) -> str:
    """The database answers, and has the schema."""
    settings.home.mkdir(parents=True, exist_ok=True)
    database = Database(settings.database_address)
    with database.reading() as db:
        found = current_revision(db)
    kind = "SQLite" if database.is_sqlite else "Postgres"
    database.close()
    if found is not None and found != HEAD:
        raise PartUnavailable(f"the schema is {found}, not {HEAD}: run `darkroom migrate`")
    return f"{kind}, schema {found or 'not made yet'}"


def check_broker(settings: Settings) -> str:
    """Redis answers."""
    if settings.redis_url is None:
        from jobs.embedded.redis import server_binary

        return f"embedded: {server_binary().rpartition('/')[2]}"
    try:
        info = connect(settings.redis_url).info("server")
    except Exception as error:
        raise PartUnavailable(f"Redis: {type(error).__name__}: {error}") from error
    return f"Redis {info.get('redis_version', '')}"


def check_bucket(settings: Settings) -> str:
    """The bucket takes, gives and deletes an object."""
    open_storage(settings).check()
    return f"S3 {settings.s3_bucket}" if settings.s3_bucket else "folder in the home"


def check_key(settings: Settings) -> str:
    """Every key is known to the API and has a balance."""
    if not settings.api_keys:
        return "no STABILITY_API_KEY: the sandbox stands in, unless `darkroom credentials` has keys"
    return ", ".join(credits_left(settings))


def check_worker(settings: Settings) -> str:
    """Whether anybody works; nobody is no fault, `run` and `up` start one."""
    return "running" if is_worked(settings) else "none; `run` and `up` start one"


def check_brakes(settings: Settings) -> str:
    """What is paused, and so why nothing new may be started; a pause is no fault."""
    database = Database(settings.database_address)
    try:
        with database.reading() as db:
            if current_revision(db) != HEAD:
                return "nothing is paused"
            by = brakes.in_the_way(db, DEFAULT_PROJECT)
            paused = [row.id for row in list_projects(db) if row.paused_at is not None]
    except OperationalError:
        return "nobody knows while the database does not answer"
    finally:
        database.close()
    # The default project is one of the others, or nobody's.
    told = [standing([name]) for name in by if name != "project"]
    told += [f"project {name} is paused (`darkroom resume --project {name}`)" for name in paused]
    return "; ".join(told) or "nothing is paused"
