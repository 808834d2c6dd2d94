"""The HTTP API of a site, and what it answers under load."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from bench.options import Options
from bench.site import Site, until
from jobs.keys import Scope, create_key
from jobs.models import DEFAULT_PROJECT
from tests.faults.process import Process, plain_environment, python
from tests.servers import accepts_http, free_port


@dataclass(frozen=True)
class Answers:
    """How the API did under one kind of load; times in milliseconds."""

    per_second: float
    p50: float
    p99: float


@dataclass(frozen=True)
class Served:
    """An API that listens."""

    port: int
    key: str
    process: Process

    def load(self, requests: Sequence[str], *, at_once: int, seconds: float) -> Answers:
        """Send these requests (`METHOD PATH [BODY]`) over and over.

        Raises RuntimeError if one is refused: a figure of refusals says nothing.
        """
        command = [sys.executable, "-m", "bench.load", str(self.port), self.key]
        told = subprocess.run(
            [*command, str(at_once), str(seconds)],
            input="\n".join(requests),
            env=plain_environment(),
            capture_output=True,
            check=False,
            text=True,
        )
        if told.returncode:
            raise RuntimeError(f"the load on {requests[0]} broke off: {told.stderr[-500:]}")
        found = json.loads(told.stdout)
        if refused := found.pop("refused"):
            raise RuntimeError(f"{refused} requests like {requests[0]} were refused")
        return Answers(**found)


@contextmanager
def serve(site: Site, options: Options) -> Iterator[Served]:
    """Start the API as one process; a key of the project that jobs are in by default."""
    with site.database.transaction() as db:
        key, _ = create_key(db, DEFAULT_PROJECT, [Scope.ADMIN], site.database.now())
    port = free_port()
    process = Process(
        f"api-{port}",
        python("-m", "jobs", "api", "--port", str(port)),
        folder=options.folder,
        environment=site.environment,
    )
    process.start()
    try:
        until(lambda: accepts_http(f"http://127.0.0.1:{port}/healthz"), "the API answers")
        yield Served(port, key, process)
    finally:
        process.kill()
