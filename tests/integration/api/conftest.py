"""The application on a socket, on a real database, Redis and bucket; and keys for it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs import keys
from jobs.db import Database
from jobs.keys import Scope
from jobs.settings import Settings, read_settings
from tests.integration.api.serving import Client, served

KeyMaker = Callable[..., str]


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    """The settings of a test's own installation."""
    return read_settings(
        _env_file=None,
        database_url=database_url,
        redis_url=redis_url,
        darkroom_home=tmp_path / "home",
        stability_api_key="sk-test",
    )


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """The database that the application uses."""
    opened = Database(settings.database_address)
    yield opened
    opened.close()


@pytest.fixture
def make_key(database: Database) -> KeyMaker:
    """Makes a key: `make_key("acme", "read")`."""

    def make(project: str = "acme", *scopes: str) -> str:
        wanted = [Scope(name) for name in scopes or ("read", "submit")]
        now = database.now()
        with database.transaction() as db:
            key, _ = keys.create_key(db, project, wanted, now)
        return key

    return make


@pytest.fixture
def stranger(settings: Settings) -> Iterator[Client]:
    """A caller without a key."""
    with served(settings) as client:
        yield client


@pytest.fixture
def client(stranger: Client, make_key: KeyMaker) -> Client:
    """A caller of the project `acme` who may read and submit."""
    return stranger.with_key(make_key())


@pytest.fixture
def neighbour(stranger: Client, make_key: KeyMaker) -> Client:
    """A caller of another project."""
    return stranger.with_key(make_key("other"))
