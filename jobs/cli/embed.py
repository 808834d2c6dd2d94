"""Starts what is not running: a Redis of our own, the sandbox, a worker with its beat."""

import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta

import redis
from sqlalchemy import func, select

from jobs.cli.payer import SANDBOX_KEY, check_not_mixed, is_play, is_worked
from jobs.credentials import Keyring
from jobs.db import Database
from jobs.embedded.post import Program
from jobs.embedded.redis import redis_program, redis_url
from jobs.embedded.supervisor import Supervisor
from jobs.errors import PartUnavailable
from jobs.limiter.permits import Limiter, connect
from jobs.models import Attempt, Job, table
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
    """Start whatever is missing for work to be done; all of it ends with this process."""
    with ExitStack() as stack:
        settings = with_redis(stack, settings, say)
        is_sandbox = is_play(settings, database)
        if is_worked(settings):
            yield Running(settings, is_sandbox, has_own_worker=False)
            return
        check_not_mixed(settings, database, is_sandbox=is_sandbox)
        if is_sandbox:
            settings = with_sandbox(stack, settings, say)
        open_limiter(settings, database)
        with database.transaction() as db:
            leases.unclaim_all(db, database.now())
        worker = Program(
            name="worker",
            command=(sys.executable, "-m", "jobs", "worker", "--beat"),
            environment=environment(settings),
        )
        grace = timedelta(seconds=settings.darkroom_grace_seconds + 5)
        stack.enter_context(Supervisor(settings.home, [worker], grace=grace, say=say))
        yield Running(settings, is_sandbox, has_own_worker=True)


def with_redis(stack: ExitStack, settings: Settings, say: Say) -> Settings:
    """Start a Redis of our own where none is set."""
    if settings.redis_url is not None:
        check_redis(settings.redis_url)
        return settings
    program = redis_program(settings.home)
    supervisor = stack.enter_context(Supervisor(settings.home, [program], say=say))
    supervisor.wait_until_ready(READY)
    return read_settings(**known(settings), redis_url=redis_url(settings.home))


def check_redis(url: str) -> None:
    """Refuse to start without the Redis that is set: nothing would ever be sent."""
    try:
        connect(url).ping()
    except redis.RedisError as error:
        raise PartUnavailable(f"REDIS_URL: the server does not answer: {error}") from error


def with_sandbox(stack: ExitStack, settings: Settings, say: Say) -> Settings:
    """Start the sandbox in the API's place."""
    port = free_port()
    program = Program(
        name="sandbox",
        command=(
            sys.executable,
            "-m",
            "jobs.stability.sandbox",
            "--port",
            str(port),
            "--state",
            str(settings.home / "sandbox"),
        ),
        is_ready=lambda: answers(port),
    )
    supervisor = stack.enter_context(Supervisor(settings.home, [program], say=say))
    supervisor.wait_until_ready(READY)
    return read_settings(
        **known(settings),
        stability_api_key=SANDBOX_KEY,
        stability_api_host=f"http://127.0.0.1:{port}",
    )


def api_program(settings: Settings, host: str, port: int) -> Program:
    """The HTTP API as a child."""
    return Program(
        name="api",
        command=(sys.executable, "-m", "jobs", "api", "--host", host, "--port", str(port)),
        environment=environment(settings),
        is_ready=lambda: answers(port),
    )


def known(settings: Settings) -> dict[str, object]:
    """The settings that were given, to be given again with more."""
    return {name: getattr(settings, name) for name in settings.model_fields_set}


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
        last = db.execute(select(func.max(attempt.c.begun_at))).scalar()
        is_polling = db.execute(
            select(job.c.id).where(job.c.state == JobState.POLLING).limit(1)
        ).first()
    assert settings.redis_url is not None
    limiter = Limiter(connect(settings.redis_url), settings.darkroom_rate)
    # When it was last polled is not written down, so a job that is may just have been.
    quiet = timedelta(0) if is_polling else timedelta(days=1)
    if last is not None and not is_polling:
        quiet = max(timedelta(0), database.now() - last)
    for credential_id in Keyring(database, settings.api_keys).ids:
        limiter.open(credential_id, quiet=quiet)


def free_port() -> int:
    """A port of the loopback that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
