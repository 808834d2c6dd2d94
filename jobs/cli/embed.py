"""Starts what is not running: a Redis of our own, the sandbox, a worker with its beat."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import redis
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from jobs.cli.payer import SANDBOX_KEY, check_not_mixed, is_play
from jobs.credentials import CREDENTIAL, Keyring
from jobs.db import Database
from jobs.embedded.lock import running
from jobs.embedded.ports import answers, check_free, is_healthy, origin, shared_port
from jobs.embedded.post import Program
from jobs.embedded.redis import redis_program, redis_url
from jobs.embedded.supervisor import Supervisor
from jobs.errors import LimiterUnavailable, PartUnavailable, SettingsError
from jobs.limiter.permits import Limiter, connect
from jobs.models import Attempt, Job, table
from jobs.presence import is_anybody_there
from jobs.queue import leases
from jobs.settings import Settings, read_settings
from jobs.states import JobState

READY = timedelta(seconds=20)
Say = Callable[[str], None]


@dataclass(frozen=True)
class Running:
    """What runs now: the settings in force, and whether the API is the sandbox."""

    settings: Settings
    is_sandbox: bool
    has_own_worker: bool


@contextmanager
def services(settings: Settings, database: Database, say: Say) -> Iterator[Running]:
    """Run what is missing for work to be done, or stand by where another command of this home does.

    All of it ends with this process.
    """
    settings, programs = redis_for(settings)
    is_sandbox = is_play(settings, database)
    check_not_mixed(settings, database, is_sandbox=is_sandbox)
    is_here = running(settings.home, "worker")
    is_elsewhere = not is_here and is_anybody_there(connect(str(settings.redis_url)))
    if not is_elsewhere:
        if is_sandbox:
            settings, sandbox = sandbox_for(settings)
            programs.append(sandbox)
        if settings.api_keys or settings.darkroom_secret_key:
            programs.append(worker_program(settings, database))
    grace = timedelta(seconds=settings.darkroom_grace_seconds + 5)
    with Supervisor(settings.home, programs, grace=grace, say=say) as supervisor:
        supervisor.wait_until_ready(READY)
        yield Running(settings, is_sandbox, not (is_here or is_elsewhere))


def with_redis(stack: ExitStack, settings: Settings, say: Say) -> Settings:
    """The same for who needs no more than a Redis."""
    settings, programs = redis_for(settings)
    supervisor = stack.enter_context(Supervisor(settings.home, programs, say=say))
    supervisor.wait_until_ready(READY)
    return settings


def redis_for(settings: Settings) -> tuple[Settings, list[Program]]:
    """A Redis of our own where none is set: the settings that lead to it, and what to run."""
    if settings.redis_url is not None:
        check_redis(settings.redis_url)
        return settings, []
    home = settings.home
    return having(settings, redis_url=redis_url(home)), [redis_program(home)]


def check_redis(url: str) -> None:
    """Refuse to start without the Redis that is set: nothing would ever be sent."""
    try:
        connect(url).ping()
    except redis.RedisError as error:
        raise PartUnavailable(f"REDIS_URL: the server does not answer: {error}") from error


def sandbox_for(settings: Settings) -> tuple[Settings, Program]:
    """The sandbox in the API's place: the settings that lead to it, and what to run."""
    if settings.stability_api_host is not None:
        raise SettingsError(
            "STABILITY_API_HOST is set and STABILITY_API_KEY is not: set the key, too, or neither "
            "for the sandbox"
        )
    port = shared_port(settings.home, "sandbox")
    state = settings.home / "sandbox"
    options = ("--port", str(port), "--state", str(state))
    program = Program(
        name="sandbox",
        command=(sys.executable, "-m", "jobs.stability.sandbox", *options),
        is_ready=lambda: answers(port),
    )
    host = origin("127.0.0.1", port)
    return having(settings, stability_api_key=SANDBOX_KEY, stability_api_host=host), program


def worker_program(settings: Settings, database: Database) -> Program:
    """A worker with its beat as a child."""

    def take_over() -> None:
        # Without it all only takes longer: leases run out, and the limiter waits for a window.
        with suppress(SQLAlchemyError, LimiterUnavailable):
            open_limiter(settings, database)
            with database.transaction() as db:
                leases.unclaim_all(db, database.now())

    return Program(
        name="worker",
        command=(sys.executable, "-m", "jobs", "worker", "--beat"),
        environment=environment(settings),
        prepare=take_over,
    )


def api_program(settings: Settings, host: str, port: int) -> Program:
    """The HTTP API as a child."""
    return Program(
        name=api_name(host, port),
        command=(sys.executable, "-m", "jobs", "api", "--host", host, "--port", str(port)),
        environment=environment(settings),
        is_ready=lambda: is_healthy(host, port),
    )


def api_name(host: str, port: int) -> str:
    """What the API there is called: a home may have several."""
    return f"api-{host}-{port}"


def check_place(home: Path, host: str, port: int) -> None:
    """Raise PartUnavailable if the API cannot listen there, unless this home's does already."""
    if not running(home, api_name(host, port)):
        check_free(host, port)


def having(settings: Settings, **more: object) -> Settings:
    """The settings that were given, with more."""
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    return read_settings(**(given | more))


def environment(settings: Settings) -> dict[str, str]:
    """What a child must know that its own environment may not say."""
    assert settings.redis_url is not None
    told = {"DARKROOM_HOME": str(settings.home), "REDIS_URL": settings.redis_url}
    if settings.api_keys:
        told["STABILITY_API_KEY"] = ",".join(settings.api_keys)
        told["STABILITY_API_HOST"] = settings.api_host
    return os.environ | told


def open_limiter(settings: Settings, database: Database) -> None:
    """Tell a fresh Redis of ours when the last request was made; the database knows.

    A Redis that somebody else runs is told nothing: others may have used it.
    """
    if settings.redis_url != redis_url(settings.home):
        return
    attempt, job = table(Attempt), table(Job)
    with database.reading() as db:
        calls = db.execute(select(func.max(attempt.c.begun_at))).scalar()
        questions = db.execute(select(func.max(CREDENTIAL.c.checked_at))).scalar()
        is_polling = db.execute(
            select(job.c.id).where(job.c.state == JobState.POLLING).limit(1)
        ).first()
    assert settings.redis_url is not None
    limiter = Limiter(connect(settings.redis_url), settings.darkroom_rate)
    # When it was last polled is not written down, so a job that is may just have been.
    quiet = timedelta(0) if is_polling else timedelta(days=1)
    for last in filter(None, (calls, questions)):
        quiet = min(quiet, max(timedelta(0), database.now() - last))
    for credential_id in Keyring(database, settings.api_keys).ids:
        limiter.open(credential_id, quiet=quiet)
