"""Real servers for tests: each a process of its own on a socket of its own, ended by its pid."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

import pytest
import requests

from jobs.embedded.child import leashed, stop_child
from jobs.embedded.redis import redis_program, redis_url
from jobs.embedded.supervisor import Supervisor
from jobs.errors import PartUnavailable

START_SECONDS = 30
GRACE = timedelta(seconds=5)


@dataclass(frozen=True, kw_only=True)
class S3Server:
    """A server that speaks S3, and what a client of it needs in its environment."""

    endpoint_url: str
    environment: Mapping[str, str]


def unavailable(what: str) -> NoReturn:
    """Skip the test here, but fail it where every server has to be there."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing, and CI is set")
    pytest.skip(f"{what} is missing")


@contextmanager
def redis_server() -> Iterator[str]:
    """A Redis of our own; gives its address."""
    with temporary_folder() as home:
        try:
            program = redis_program(home)
        except PartUnavailable:
            unavailable("a Redis server")
        with Supervisor(home, [program], say=complain) as supervisor:
            supervisor.wait_until_ready(timedelta(seconds=START_SECONDS))
            yield redis_url(home)


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Moto's S3, over HTTP."""
    if find_spec("moto") is None:
        unavailable("moto")
    port = free_port()
    endpoint_url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    environment = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with temporary_folder() as folder, process(command, log=folder / "moto.log"):
        wait_until(lambda: accepts_http(endpoint_url), "moto answers")
        yield S3Server(endpoint_url=endpoint_url, environment=environment)


@contextmanager
def process(command: Sequence[str], *, log: Path) -> Iterator[None]:
    """Run a child that ends with the block, and with this process whatever happens."""
    with log.open("ab") as output:
        child = subprocess.Popen(
            leashed(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=log.parent,
        )
    try:
        yield
    finally:
        stop_child(child, grace=GRACE)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder with a path that is short enough for sockets, which pytest's own are not."""
    with TemporaryDirectory(prefix="darkroom-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def wait_until(condition: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> None:
    """Wait for a condition, which is given as a sentence too; fails when it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:g} s in vain until {what}")
        time.sleep(0.01)


def free_port() -> int:
    """A port of this machine that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def accepts_http(address: str) -> bool:
    """Whether a server answers, whatever it says."""
    try:
        requests.get(address, timeout=1)
    except requests.ConnectionError:
        return False
    return True


def complain(line: str) -> None:
    """Let pytest show that a server died under a test."""
    sys.stderr.write(f"{line}\n")
