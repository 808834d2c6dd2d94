"""A worker learns how far the API is from questions that cost nothing."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from jobs import figures
from tests.integration.sandbox.caller import Caller, running
from tests.integration.workshop import Workshop, workshop
from tests.servers import wait_until
from workers import rangefinder


@pytest.fixture
def api() -> Iterator[Caller]:
    with running() as caller:
        yield caller.with_key("sk-far")


@pytest.fixture
def shop(api: Caller, sqlite_url: str, redis_url: str, tmp_path: Path) -> Iterator[Workshop]:
    with workshop(api, database_url=sqlite_url, redis_url=redis_url, home=tmp_path) as made:
        yield made


def test_an_answer_tells_the_distance_and_the_balance(shop: Workshop) -> None:
    rangefinder.find_range(shop.r)

    assert (shop.r.distance.answers, shop.r.distance.seconds < 10) == (1, True)
    with shop.r.database.reading() as db:
        (credential,) = figures.credentials(db)
    assert credential.balance_milli > 0


def test_nobody_asks_while_the_credential_rests(shop: Workshop) -> None:
    (credential_id,) = shop.r.keyring.ids
    shop.r.limiter.freeze(credential_id, timedelta(minutes=1))

    rangefinder.find_range(shop.r)

    assert shop.r.distance.answers == 0


def test_it_asks_until_it_knows_and_ends_with_the_process(shop: Workshop) -> None:
    thread = Thread(target=rangefinder.keep_range, args=(shop.r,))
    thread.start()
    wait_until(lambda: shop.r.distance.answers >= 2, "two answers have come")

    shop.r.ended.set()
    thread.join(10)

    assert not thread.is_alive()


def test_an_outage_of_the_database_ends_nothing(shop: Workshop) -> None:
    # Given a database that cannot be asked for the credentials,
    rename(shop, "credential", "away")
    with capture_logs() as said:
        thread = Thread(target=rangefinder.keep_range, args=(shop.r,))
        thread.start()
        wait_until(
            lambda: any(line["event"] == "distance_unknown" for line in said), "it has tried"
        )

    # when it is back, then the distance is learned.
    rename(shop, "away", "credential")
    wait_until(lambda: shop.r.distance.answers > 0, "an answer has come")
    shop.r.ended.set()
    thread.join(10)


def rename(shop: Workshop, before: str, after: str) -> None:
    """Rename a table, and forget what was read from it."""
    with shop.r.database.transaction() as db:
        db.execute(text(f"ALTER TABLE {before} RENAME TO {after}"))
    shop.r.keyring.forget()
