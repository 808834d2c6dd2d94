"""A sandbox for each module, and workers without threads that call it."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.integration.sandbox.caller import Caller, running
from tests.integration.workshop import Workshop, workshop


@pytest.fixture(scope="module")
def shared() -> Iterator[Caller]:
    with running() as caller:
        yield caller


@pytest.fixture
def api(shared: Caller) -> Iterator[Caller]:
    """The module's sandbox with a fresh key, and without faults after the test."""
    yield shared.with_key(uuid4().hex)
    shared.fault()


@pytest.fixture
def shop(api: Caller, database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Workshop]:
    """A worker on each database."""
    with workshop(api, database_url=database_url, redis_url=redis_url, home=tmp_path) as made:
        yield made


@pytest.fixture
def small(api: Caller, sqlite_url: str, redis_url: str, tmp_path: Path) -> Iterator[Workshop]:
    """A worker on SQLite, for what has nothing to do with the database."""
    with workshop(api, database_url=sqlite_url, redis_url=redis_url, home=tmp_path) as made:
        yield made
