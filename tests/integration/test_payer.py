"""Who pays is known before anything is sent, and open jobs are not answered by the wrong one."""

from pathlib import Path

import pytest
from sqlalchemy import update

from jobs.cli.payer import SANDBOX_KEY, check_not_mixed, is_play
from jobs.credentials import Keyring, add_credential, fingerprint
from jobs.db import Database
from jobs.embedded.lock import Lock
from jobs.errors import Conflict
from jobs.identity import owner_name
from jobs.limiter.permits import connect
from jobs.presence import announce
from jobs.settings import Settings, read_settings
from jobs.states import JobState
from jobs.vault import new_secret, open_vault
from tests.factories import ATTEMPT, NOW, make_job

KEY = "sk-real"


def settings(home: Path, **more: object) -> Settings:
    return read_settings(_env_file=None, darkroom_home=home, **more)


def register(database: Database, *keys: str) -> None:
    Keyring(database, keys).register()


def test_without_a_key_the_sandbox_plays(database: Database, tmp_path: Path) -> None:
    assert is_play(settings(tmp_path), database)
    assert not is_play(settings(tmp_path, stability_api_key=KEY), database)


def test_a_sealed_key_pays(database: Database, tmp_path: Path) -> None:
    chosen = settings(tmp_path, darkroom_secret_key=new_secret())
    vault = open_vault(chosen)
    assert vault is not None
    with database.transaction() as db:
        add_credential(db, vault, KEY, "main", NOW)

    assert not is_play(chosen, database)


@pytest.mark.parametrize(("key", "plays"), [(KEY, False), (SANDBOX_KEY, True)])
def test_a_worker_that_is_there_pays_with_its_own_key(
    database: Database, redis_url: str, tmp_path: Path, key: str, plays: bool
) -> None:
    # Given a database that knows keys of all times, and a worker
    register(database, KEY, SANDBOX_KEY)
    work_with(key, redis_url)

    assert is_play(settings(tmp_path, redis_url=redis_url), database) is plays


def work_with(key: str, redis_url: str) -> None:
    """Be seen as a worker whose settings hold this key."""
    with connect(redis_url) as client:
        announce(client, owner_name(), [fingerprint(key)])


def test_a_real_key_is_not_used_where_a_worker_asks_the_sandbox(
    database: Database, redis_url: str, tmp_path: Path
) -> None:
    # Given a worker on the same Redis that asks the sandbox
    chosen = settings(tmp_path, redis_url=redis_url, stability_api_key=KEY)
    work_with(SANDBOX_KEY, redis_url)

    # Then whoever means to pay is told, and whoever plays is not
    with pytest.raises(Conflict, match="asks the sandbox"):
        check_not_mixed(chosen, database, is_sandbox=False)
    check_not_mixed(settings(tmp_path, redis_url=redis_url), database, is_sandbox=True)


def test_a_sandbox_that_runs_in_the_home_is_known_before_its_worker_is_seen(
    database: Database, tmp_path: Path
) -> None:
    sandbox, worker = Lock(tmp_path, "sandbox"), Lock(tmp_path, "worker")
    assert sandbox.acquire()
    assert worker.acquire()

    assert is_play(settings(tmp_path), database)
    with pytest.raises(Conflict, match="asks the sandbox"):
        check_not_mixed(settings(tmp_path, stability_api_key=KEY), database, is_sandbox=False)

    sandbox.release()
    assert not is_play(settings(tmp_path), database)
    worker.release()


def test_jobs_may_be_added_to_those_of_a_worker_that_pays(
    database: Database, redis_url: str, tmp_path: Path
) -> None:
    # Given open jobs of somebody who played before, and a worker that pays
    paid_by(database, SANDBOX_KEY, JobState.QUEUED)
    work_with(KEY, redis_url)

    # Then whoever pays, too, is let in: it is that worker's doing
    chosen = settings(tmp_path, redis_url=redis_url, stability_api_key=KEY)
    check_not_mixed(chosen, database, is_sandbox=False)


def test_a_key_of_former_times_pays_nothing(
    database: Database, redis_url: str, tmp_path: Path
) -> None:
    register(database, KEY)

    assert is_play(settings(tmp_path, redis_url=redis_url), database)


def paid_by(database: Database, key: str, state: JobState) -> None:
    """A job in this state whose last call was made with the key, and another that waits."""
    with database.transaction() as db:
        make_job(db, state)
        make_job(db, JobState.SUCCEEDED)
        db.execute(update(ATTEMPT).values(credential_id=fingerprint(key)))


@pytest.mark.parametrize(
    ("last", "now", "said"),
    [(SANDBOX_KEY, KEY, "would be paid for"), (KEY, None, "patterns")],
)
def test_open_jobs_of_the_other_one_are_in_the_way(
    database: Database, tmp_path: Path, last: str, now: str | None, said: str
) -> None:
    paid_by(database, last, JobState.QUEUED)

    with pytest.raises(Conflict, match=said):
        check_not_mixed(settings(tmp_path, stability_api_key=now), database, is_sandbox=now is None)


@pytest.mark.parametrize(
    ("last", "now", "state"),
    [
        (KEY, KEY, JobState.QUEUED),
        (SANDBOX_KEY, None, JobState.QUEUED),
        (SANDBOX_KEY, SANDBOX_KEY, JobState.QUEUED),
        (KEY, None, JobState.FAILED),
        (SANDBOX_KEY, KEY, JobState.CANCELED),
    ],
)
def test_what_has_ended_or_is_their_own_is_not(
    database: Database, tmp_path: Path, last: str, now: str | None, state: JobState
) -> None:
    paid_by(database, last, state)

    check_not_mixed(settings(tmp_path, stability_api_key=now), database, is_sandbox=now is None)


def test_jobs_that_nobody_was_asked_for_are_anybodys(database: Database, tmp_path: Path) -> None:
    with database.transaction() as db:
        make_job(db, JobState.QUEUED)

    check_not_mixed(settings(tmp_path), database, is_sandbox=True)
