"""What a project is told of those who work for it, and of the keys that pay."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis
from sqlalchemy import update

from jobs import presence
from jobs.db import Database
from jobs.models import Attempt, table
from jobs.queue.breaker import FIRST_PROBE, OPENS_AT
from jobs.settings import read_settings
from jobs.states import JobState
from tests.factories import make_job
from tests.integration.api.conftest import KeyMaker
from tests.integration.api.serving import Client, served

MINUTE = timedelta(minutes=1)


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """One is enough: the statements have tests of their own."""
    return sqlite_url


def test_usage_counts_the_workers(client: Client, redis_url: str) -> None:
    before = client.get("/v1/usage").json()["workers"]
    with redis.Redis.from_url(redis_url) as server:
        presence.announce(server, "elsewhere")

    assert (before, client.get("/v1/usage").json()["workers"]) == (0, 1)


def test_usage_says_when_the_next_paid_call_is_tried(client: Client, database: Database) -> None:
    now = database.now()
    with database.transaction() as db:
        for _ in range(OPENS_AT):
            make_job(db, JobState.HELD)
        lost = {"begun_at": now - MINUTE, "uncertain_at": now, "note": "answer_lost"}
        db.execute(update(table(Attempt)).values(lost))

    probe_at = client.get("/v1/usage").json()["probe_at"]

    assert datetime.fromisoformat(probe_at) == now + FIRST_PROBE


def test_a_key_that_is_locked_out_says_until_when(client: Client) -> None:
    parts = client.app.state.parts
    parts.keyring.register()
    (credential_id,) = parts.keyring.ids
    (before,) = client.get("/v1/balance").json()["credentials"]
    parts.limiter.freeze(credential_id, MINUTE)

    (told,) = client.get("/v1/balance").json()["credentials"]

    assert before["frozen_until"] is None
    assert told["frozen_until"] is not None
    assert datetime.fromisoformat(told["frozen_until"]) <= datetime.now(UTC) + MINUTE


def test_without_redis_the_account_is_told_all_the_same(
    sqlite_url: str, tmp_path: Path, make_key: KeyMaker
) -> None:
    settings = read_settings(
        _env_file=None,
        database_url=sqlite_url,
        redis_url=f"unix://{tmp_path / 'none.sock'}",
        stability_api_key="sk-test",
    )
    with served(settings) as stranger:
        client = stranger.with_key(make_key())
        stranger.app.state.parts.keyring.register()
        usage, balance = client.get("/v1/usage"), client.get("/v1/balance")

    assert (usage.status_code, usage.json()["workers"]) == (200, None)
    assert [key["frozen_until"] for key in balance.json()["credentials"]] == [None]
