"""Fixtures only: the real servers of `servers.py`, started when first asked for, and clean."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import redis
import requests
from hypothesis import HealthCheck
from hypothesis import settings as property_settings

from jobs.db import Database
from jobs.storage.folder import FolderStorage
from jobs.storage.protocol import Storage
from tests.postgres import driver_url, execute, postgres_server
from tests.servers import S3Server, redis_server, s3_server

#: A busy machine is slow, and no example is wrong for it.
property_settings.register_profile(
    "unhurried",
    property_settings.default,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
property_settings.load_profile("unhurried")

#: A developer's own settings must not reach a test.
SETTINGS = ("STABILITY_", "DARKROOM_", "DATABASE_URL", "REDIS_URL", "S3_", "AWS_")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the surroundings, and no credentials of this machine."""
    for name in os.environ:
        if name.startswith(SETTINGS):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)


@pytest.fixture(scope="session")
def redis_address() -> Iterator[str]:
    """The session's Redis."""
    with redis_server() as url:
        yield url


@pytest.fixture
def redis_url(redis_address: str) -> str:
    """An empty Redis."""
    with redis.Redis.from_url(redis_address) as client:
        client.flushall()
    return redis_address


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[str]:
    """The session's Postgres, with a migrated database to clone."""
    with postgres_server() as address:
        execute(address, "CREATE DATABASE template")
        migrate_database(driver_url(address, "template"))
        yield address


@pytest.fixture
def postgres_url(postgres_cluster: str) -> Iterator[str]:
    """A migrated Postgres database of the test's own."""
    name = f"test_{uuid4().hex}"
    execute(postgres_cluster, f"CREATE DATABASE {name} TEMPLATE template")
    yield driver_url(postgres_cluster, name)
    execute(postgres_cluster, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite database to copy."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    migrate_database(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A migrated SQLite database of the test's own."""
    return f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'darkroom.db')}"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The same test on both databases."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The same, open."""
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def moto() -> Iterator[S3Server]:
    """The session's S3."""
    with s3_server() as server:
        yield server


@pytest.fixture
def s3(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An empty bucket; its settings are in the environment, and given."""
    settings = {
        "S3_BUCKET": f"test-{uuid4().hex}",
        "S3_ENDPOINT_URL": moto.endpoint_url,
    }
    for name, value in {**moto.environment, **settings}.items():
        monkeypatch.setenv(name, value)
    requests.put(f"{moto.endpoint_url}/{settings['S3_BUCKET']}", timeout=10).raise_for_status()
    return settings


@pytest.fixture
def folder_storage(tmp_path: Path) -> Storage:
    """A folder as bucket."""
    return FolderStorage(tmp_path / "bucket")


@pytest.fixture
def s3_storage(s3: dict[str, str]) -> Storage:
    """A bucket of S3, of which we have only the part below a prefix."""
    # A unit test does not wait for the import of boto3.
    from jobs.storage.s3 import S3Storage

    return S3Storage(s3["S3_BUCKET"], prefix="ours", endpoint_url=s3["S3_ENDPOINT_URL"])


@pytest.fixture(params=["folder", "s3"])
def storage(request: pytest.FixtureRequest) -> Storage:
    """The same test on both storages."""
    opened: Storage = request.getfixturevalue(f"{request.param}_storage")
    return opened


def migrate_database(url: str) -> None:
    """Bring an empty database to today's schema."""
    # A unit test does not wait for the import of SQLAlchemy.
    from jobs.db import Database
    from jobs.schema import migrate

    database = Database(url)
    migrate(database)
    database.close()
