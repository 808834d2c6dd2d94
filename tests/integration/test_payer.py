"""Who pays is known before anything is sent, and open jobs are not answered by the wrong one."""

from pathlib import Path

import pytest
from sqlalchemy import update

from jobs.cli.payer import SANDBOX_KEY, check_not_mixed, is_play
from jobs.credentials import Keyring, add_credential, fingerprint
from jobs.db import Database
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
    chosen = settings(tmp_path, redis_url=redis_url)
    register(database, key)
    with connect(redis_url) as client:
        announce(client, owner_name())

    assert is_play(chosen, database) is plays


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
