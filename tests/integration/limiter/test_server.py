"""The limiter on a real server: many processes, and a server that is away, frozen or restarted."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import redis

from jobs.embedded.child import leashed, stop_child
from jobs.embedded.redis import server_binary
from jobs.errors import LimiterUnavailable, PartUnavailable
from jobs.limiter.permits import Limiter, NotNow, Permit
from jobs.settings import Rate
from tests.servers import GRACE, temporary_folder, unavailable, wait_until

REPOSITORY = Path(__file__).parents[3]
RATE = Rate(requests=20, window=timedelta(seconds=0.5))
PROCESSES = 3
#: Twelve windows of the rate.
HAMMER_SECONDS = 6.0
LONG = Rate(requests=20, window=timedelta(seconds=60))
MINUTE = timedelta(seconds=60)


@contextmanager
def server(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A server that keeps its data in the folder, and its address."""
    try:
        binary = server_binary()
    except PartUnavailable:
        unavailable("a Redis server")
    path = folder / "own.sock"
    command = [binary, "--port", "0", "--unixsocket", str(path), "--dir", str(folder)]
    child = subprocess.Popen(
        leashed([*command, "--appendonly", "no", "--save", ""]),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_until(lambda: is_ready(f"unix://{path}"), "the server answers")
        yield child, f"unix://{path}"
    finally:
        child.send_signal(signal.SIGCONT)
        stop_child(child, grace=GRACE)
        path.unlink(missing_ok=True)


@pytest.fixture
def folder() -> Iterator[Path]:
    with temporary_folder() as path:
        yield path


def is_ready(url: str) -> bool:
    with impatient(url) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False


def impatient(url: str) -> redis.Redis:
    """A client as the workers have it, with less patience."""
    return redis.Redis.from_url(url, socket_timeout=0.3, socket_connect_timeout=0.3, retry=None)


def test_processes_together_keep_to_the_limit(redis_url: str, real: redis.Redis) -> None:
    Limiter(real, RATE).open("a", quiet=RATE.window)
    command = [sys.executable, "-m", "tests.integration.limiter.hammer"]
    command += [redis_url, str(RATE), str(HAMMER_SECONDS)]

    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
        for _ in range(PROCESSES)
    ]
    outputs = [process.communicate(timeout=90)[0].split() for process in running]

    assert [process.returncode for process in running] == [0] * PROCESSES
    assert all(outputs), "each process had its part"
    arrivals = sorted(int(line) for lines in outputs for line in lines)
    window = RATE.window // timedelta(microseconds=1)
    beyond = [
        (first, last)
        for first, last in zip(arrivals, arrivals[RATE.requests :], strict=False)
        if last - first < window
    ]
    assert beyond == []
    assert len(arrivals) > 3 * RATE.requests


def test_the_permits_of_two_processes_are_one_count(real: redis.Redis, redis_url: str) -> None:
    mine = Limiter(real, LONG)
    mine.open("a", quiet=MINUTE)
    with impatient(redis_url) as client:
        theirs = Limiter(client, LONG)
        for limiter in (mine, theirs) * 5:
            assert isinstance(limiter.reserve(["a"], longest=MINUTE), Permit)

        assert mine.look("a").used == theirs.look("a").used == 10
        theirs.freeze("a", MINUTE)
        assert isinstance(mine.reserve(["a"]), NotNow)


def test_a_permit_that_is_held_is_stopped_by_a_freeze_elsewhere(
    real: redis.Redis, redis_url: str
) -> None:
    mine = Limiter(real, LONG)
    mine.open("a", quiet=MINUTE)
    permit = mine.reserve(["a"])
    assert isinstance(permit, Permit)

    with impatient(redis_url) as client:
        Limiter(client, LONG).freeze("a", MINUTE)

    assert not mine.allows(permit)


def test_without_a_server_nothing_is_granted(folder: Path) -> None:
    limiter = Limiter(impatient(f"unix://{folder / 'nobody'}"), LONG)
    permit = Permit("a", "token", time.monotonic() + 60)

    with pytest.raises(LimiterUnavailable, match="nothing is sent"):
        limiter.reserve(["a"])
    with pytest.raises(LimiterUnavailable):
        limiter.look("a")
    assert not limiter.allows(permit)
    limiter.drop(permit)
    limiter.settle(permit, arrived_by=None)
    limiter.freeze("a", MINUTE)


def test_a_freeze_that_redis_never_heard_of_holds_in_its_own_process(folder: Path) -> None:
    with server(folder) as (_, url), impatient(url) as client:
        limiter = Limiter(client, LONG)
        limiter.open("a", quiet=MINUTE)
        limiter.open("b", quiet=MINUTE)
        permit = limiter.reserve(["a"])
        assert isinstance(permit, Permit)
        assert limiter.allows(permit)

        limiter.freeze("a", MINUTE)
        client.hdel("darkroom:{a}:state", "frozen")

        assert not limiter.allows(permit)
        assert isinstance(limiter.reserve(["a"]), NotNow)
        other = limiter.reserve(["a", "b"])
        assert isinstance(other, Permit)
        assert other.credential_id == "b"


def test_a_frozen_server_grants_nothing_and_keeps_nobody(folder: Path) -> None:
    with server(folder) as (child, url), impatient(url) as client:
        limiter = Limiter(client, LONG)
        limiter.open("a", quiet=MINUTE)
        assert isinstance(limiter.reserve(["a"]), Permit)

        os.kill(child.pid, signal.SIGSTOP)
        with pytest.raises(LimiterUnavailable):
            limiter.reserve(["a"])

        os.kill(child.pid, signal.SIGCONT)
        wait_until(lambda: is_ready(url), "the server answers again")
        assert isinstance(limiter.reserve(["a"], longest=MINUTE), Permit)


@pytest.mark.parametrize("is_saved", [False, True], ids=["empty", "with an old copy"])
def test_a_restarted_server_grants_nothing_for_a_window(folder: Path, is_saved: bool) -> None:
    with server(folder) as (_, url), impatient(url) as client:
        limiter = Limiter(client, LONG)
        limiter.open("a", quiet=MINUTE)
        if is_saved:
            client.save()
        # What is granted from here on is not in the copy.
        assert isinstance(limiter.reserve(["a"]), Permit)

    with server(folder) as (_, url), impatient(url) as client:
        restarted = Limiter(client, LONG)
        assert bool(client.exists("darkroom:{a}:state")) == is_saved
        refused = restarted.reserve(["a"], longest=timedelta(seconds=50))
        assert isinstance(refused, NotNow)
        assert restarted.look("a").opens > timedelta(seconds=50)
