"""No duty that fails, and nobody who does not answer, keeps the beat from its work."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from jobs.balances import Teller
from jobs.credentials import NO_FUNDS, Keyring, fingerprint, stop, stopped_credentials
from jobs.db import Database
from jobs.limiter.permits import Limiter, connect
from jobs.models import DISPATCHED
from jobs.queue import intake
from jobs.queue.moves import JOB
from jobs.settings import Settings, read_settings
from jobs.stability.client import StabilityClient
from tests.factories import make_batch, new_job
from tests.integration.sandbox.caller import running
from tests.servers import wait_until
from workers.beat import Beat
from workers.maintenance.accountant import Accountant

HOUR = timedelta(hours=1)


@pytest.fixture
def settings(sqlite_url: str, redis_url: str, tmp_path: Path) -> Settings:
    return read_settings(
        _env_file=None,
        database_url=sqlite_url,
        redis_url=redis_url,
        darkroom_home=tmp_path,
        stability_api_key="first,second",
    )


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = Database(settings.database_address)
    keyring = Keyring(opened, settings.api_keys)
    keyring.register()
    assert settings.redis_url is not None
    with connect(settings.redis_url) as client:
        for credential_id in keyring.ids:
            Limiter(client, settings.darkroom_rate).open(credential_id, quiet=HOUR)
    yield opened
    opened.close()


def submit(database: Database) -> str:
    with database.transaction() as db:
        (job_id,) = intake.submit(db, [new_job()], database.now(), project_id="default")
    return job_id


def dispatched(database: Database) -> set[str]:
    with database.reading() as db:
        wanted = select(JOB.c.id).where(JOB.c.lease_owner == DISPATCHED)
        return set(db.execute(wanted).scalars())


def test_a_duty_that_fails_stops_neither_the_others_nor_the_dispatch(
    settings: Settings, database: Database
) -> None:
    # Given a batch that cannot be read, which some duty wants to go on with,
    with database.transaction() as db:
        make_batch(db)
        db.execute(text("UPDATE batch SET bulk_verb = 'cancel', bulk_since = 'nonsense'"))
    beat = Beat(settings, database)
    job_id = submit(database)

    beat.tick()

    assert dispatched(database) == {job_id}


def test_a_database_that_is_away_ends_the_look(settings: Settings, database: Database) -> None:
    beat = Beat(settings, database)
    with database.transaction() as db:
        db.execute(text("ALTER TABLE job RENAME TO away"))

    # The beat waits, and puts the rescue off: nobody could renew a lease.
    with pytest.raises(OperationalError):
        beat.tick()


def stop_one(database: Database, settings: Settings) -> None:
    """Let the first credential be out of funds."""
    with database.transaction() as db:
        stop(db, fingerprint(settings.api_keys[0]), NO_FUNDS, database.now())


def is_stopped(database: Database) -> bool:
    with database.reading() as db:
        return bool(stopped_credentials(db))


def test_jobs_are_sent_while_a_balance_is_waited_for(
    settings: Settings, database: Database
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        # Given an API that takes the question for a balance, and does not answer,
        silent.settimeout(20)
        host = f"http://127.0.0.1:{silent.getsockname()[1]}"
        stop_one(database, settings)
        beat = Beat(settings.model_copy(update={"stability_api_host": host}), database)
        with in_thread(beat.run):
            asked, _ = silent.accept()

            # when a job comes, then it is sent at once.
            with asked:
                job_id = submit(database)
                wait_until(lambda: dispatched(database) == {job_id}, "the job is sent", 10)


def test_balances_are_checked_again_after_an_outage_of_the_database(
    settings: Settings, database: Database
) -> None:
    with running() as api, accountant(settings, database, api.address) as checks:
        # Given a database that cannot be asked for the credentials,
        stop_one(database, settings)
        rename(database, "credential", "away")
        with capture_logs() as said, in_thread(checks.run):
            wait_until(
                lambda: any(line["event"] == "balances_away" for line in said), "it has tried"
            )

            # when it is back, then the credential, which has credits, starts again.
            rename(database, "away", "credential")
            wait_until(lambda: not is_stopped(database), "the credential is started")


@contextmanager
def in_thread(run: Callable[[Event], None]) -> Iterator[None]:
    """Something that runs until it is told to stop."""
    stopping = Event()
    thread = Thread(target=run, args=(stopping,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(10)
    assert not thread.is_alive()


@contextmanager
def accountant(settings: Settings, database: Database, host: str) -> Iterator[Accountant]:
    """One that checks often."""
    assert settings.redis_url is not None
    with connect(settings.redis_url) as client:
        limiter = Limiter(client, settings.darkroom_rate)
        keyring = Keyring(database, settings.api_keys)
        teller = Teller(limiter, StabilityClient(host), keyring, settings.freeze)
        yield Accountant(database, teller, every_seconds=0.05)


def rename(database: Database, before: str, after: str) -> None:
    with database.transaction() as db:
        db.execute(text(f"ALTER TABLE {before} RENAME TO {after}"))
