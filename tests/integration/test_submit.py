"""`darkroom submit --wait` while its database is away."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy.engine import make_url

from jobs.cli import jobs as commands
from jobs.cli.home import Home
from jobs.db import Database
from jobs.settings import read_settings
from jobs.states import JobState
from jobs.storage.folder import FolderStorage
from tests.factories import make_job
from tests.postgres import execute


def test_a_job_is_waited_for_while_postgres_is_away(
    postgres_cluster: str, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a job whose database takes no connections, and ends those that there are,
    database, name = Database(postgres_url), make_url(postgres_url).database
    home = Home(read_settings(_env_file=None), database, FolderStorage(tmp_path))
    with database.transaction() as db:
        job_id = make_job(db, JobState.SUCCEEDED)
    execute(postgres_cluster, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    execute(
        postgres_cluster,
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
    )

    # when it comes back between two looks,
    looks = []

    def come_back(seconds: float) -> None:
        looks.append(seconds)
        execute(postgres_cluster, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    monkeypatch.setattr(commands, "time", SimpleNamespace(sleep=come_back))

    # then the job's end is seen.
    assert commands.wait_for(home, job_id) == JobState.SUCCEEDED
    assert len(looks) == 1
    database.close()
