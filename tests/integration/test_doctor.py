"""What `doctor` asks of the API: it takes part in the rate, as whatever else is sent."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from jobs.cli import credits
from jobs.cli.credits import credits_left
from jobs.cli.embed import open_limiter, with_redis
from jobs.credentials import BY_HAND, Keyring, stop
from jobs.db import Database
from jobs.errors import PartUnavailable
from jobs.limiter import permits
from jobs.limiter.permits import Limiter, Permit, connect
from jobs.settings import Settings, read_settings
from tests.integration.sandbox.caller import Caller
from tests.integration.workshop import Workshop, workshop

MINUTE = timedelta(seconds=60)


@pytest.fixture(autouse=True)
def no_slot_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is."""
    monkeypatch.setattr(permits, "PUNCTUAL", MINUTE)


@pytest.fixture
def shop(api: Caller, sqlite_url: str, redis_url: str, tmp_path: Path) -> Iterator[Workshop]:
    """A worker that may send one request in a minute."""
    urls = {"database_url": sqlite_url, "redis_url": redis_url}
    with workshop(api, **urls, home=tmp_path, darkroom_rate="1/60s") as made:
        yield made


def test_the_doctor_asks_nothing_while_workers_have_the_whole_rate(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a worker that has the only slot,
    monkeypatch.setattr(credits, "PATIENCE_SECONDS", 0)
    assert isinstance(shop.r.limiter.reserve(shop.r.keyring.ids), Permit)

    # when a person wants to know whether all is well, then it is, and nothing was sent.
    assert credits_left(shop.r.settings) == ["key 1: no slot is free now, as the key is in use"]
    assert shop.sent() == 0


def test_a_question_of_the_doctor_takes_a_slot(shop: Workshop) -> None:
    assert credits_left(shop.r.settings)[0].endswith(" credits")

    (credential_id,) = shop.r.keyring.ids
    assert (shop.sent(), shop.r.limiter.look(credential_id).used) == (1, 1)


def test_the_doctor_does_not_use_what_a_person_stopped(shop: Workshop) -> None:
    with shop.r.database.transaction() as db:
        stop(db, shop.r.keyring.ids[0], BY_HAND, shop.r.database.now())

    assert credits_left(shop.r.settings) == ["key 1: stopped, so it was not asked for"]
    assert shop.sent() == 0


def embedded(api: Caller, home: Path, **more: str) -> Settings:
    """The settings of a person who has a key and nothing else."""
    return read_settings(
        _env_file=None,
        stability_api_key=api.key,
        stability_api_host=api.address,
        darkroom_home=home,
        **more,
    )


def test_a_question_where_nothing_runs_is_known_to_what_runs_next(
    api: Caller, sqlite_url: str, tmp_path: Path
) -> None:
    # Given a doctor that asked in a home where nothing runs,
    settings = embedded(api, tmp_path, database_url=sqlite_url, darkroom_rate="150/60s")
    assert credits_left(settings)[0].endswith(" credits")

    # when something is started there right after, with a Redis that knows nothing,
    with ExitStack() as stack:
        running = with_redis(stack, settings, print)
        database = Database(sqlite_url)
        stack.callback(database.close)
        open_limiter(running, database)

        # then it first waits until the question counts no more.
        assert running.redis_url is not None
        limiter = Limiter(connect(running.redis_url), running.darkroom_rate)
        (credential_id,) = Keyring(database, running.api_keys).ids
        assert limiter.look(credential_id).opens > timedelta(0)


def test_a_new_home_has_nobody_to_ask_for_a_slot(api: Caller, tmp_path: Path) -> None:
    assert credits_left(embedded(api, tmp_path))[0].endswith(" credits")


def test_a_refused_key_is_named(api: Caller, tmp_path: Path) -> None:
    # Given a key that the API has locked out,
    api.fault(status_429="1x1")
    assert api.core().status_code == 429

    with pytest.raises(PartUnavailable, match="key 1: the API answers 429"):
        credits_left(embedded(api, tmp_path))
