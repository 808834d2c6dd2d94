"""Postgres, a Redis and S3 in place of what is embedded, by settings alone."""

import os
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from jobs.presence import workers_there
from tests.functional.darkroom import Darkroom
from tests.functional.manifests import mixed, write_picture
from tests.functional.proof import (
    assert_all_made,
    assert_each_was_paid_once,
    assert_limits_were_kept,
    assert_seeds_are_known,
    read_books,
)
from tests.integration.sandbox.caller import Caller
from tests.servers import wait_until

SIZE = 20
RATE = 30


@pytest.fixture
def production(
    darkroom: Darkroom, postgres_url: str, redis_url: str, s3: dict[str, str], api: Caller
) -> Darkroom:
    """A user whose settings name three servers."""
    return darkroom.asking(api).having(
        **s3,
        **{name: value for name, value in os.environ.items() if name.startswith("AWS_")},
        DATABASE_URL=postgres_url,
        REDIS_URL=redis_url,
        DARKROOM_RATE=f"{RATE}/1s",
        DARKROOM_POLL_SECONDS="0.5",
    )


@pytest.fixture
def manifest(folder: Path) -> Path:
    """A small mixed manifest."""
    small = write_picture(folder / "small.png", 160, 120)
    return mixed(folder / "main.csv", cores=12, upscales=5, videos=3, earlier=[small])


def assert_is_done(user: Darkroom, api: Caller) -> None:
    """All rows were made and paid once, and the home has neither database nor bucket."""
    books = read_books(user, "main", api)
    assert_all_made(user, books, user.folder / "out", SIZE)
    assert_seeds_are_known(books)
    assert_limits_were_kept(books, most_in_window=RATE)
    assert_each_was_paid_once(books)
    assert not list(user.home.rglob("*.db"))
    assert not (user.home / "bucket").exists()


def test_run_brings_a_worker_to_servers_that_are_there(
    production: Darkroom, manifest: Path, api: Caller
) -> None:
    ended = production.run("run", manifest, "--out", "out", "--yes")

    assert ended.code == 0, ended
    assert_is_done(production, api)
    assert worker_log(production).exists()


def test_run_leaves_the_work_to_workers_that_are_there(
    production: Darkroom, manifest: Path, api: Caller, redis_url: str
) -> None:
    assert production.run("migrate").code == 0
    with ExitStack() as stack:
        parts = [
            stack.enter_context(production.running(command))
            for command in ("worker", "worker", "beat")
        ]
        with redis.Redis.from_url(redis_url) as client:
            wait_until(lambda: len(workers_there(client)) == 2, "two workers are there")

        ended = production.run("run", manifest, "--out", "out", "--yes")
        for part in parts:
            part.terminate()
        ends = [part.end() for part in parts]

    assert ended.code == 0, ended
    assert [end.code for end in ends] == [0, 0, 0], ends
    assert_is_done(production, api)
    assert not worker_log(production).exists()


def worker_log(user: Darkroom) -> Path:
    """What a worker that `run` started writes."""
    return user.home / "log" / "worker.log"
