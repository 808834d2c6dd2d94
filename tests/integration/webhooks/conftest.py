"""A database with endpoints, a messenger, and a receiver."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.db import Database
from jobs.settings import Settings, read_settings
from jobs.webhooks.secrets import Signer, open_signer
from tests.integration.receiver import Receiver
from workers.maintenance.messenger import Messenger


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        yield server


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return read_settings(
        _env_file=None,
        database_url=database_url,
        darkroom_home=tmp_path / "home",
        darkroom_allow_private_addresses=True,
    )


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = Database(settings.database_address)
    yield opened
    opened.close()


@pytest.fixture
def messenger(settings: Settings, database: Database) -> Iterator[Messenger]:
    made = Messenger(settings, database)
    yield made
    made.close()


@pytest.fixture
def signer(settings: Settings) -> Signer:
    return open_signer(settings)
