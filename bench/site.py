"""An installation to be measured: database, Redis, workers, beats, each a process of its own."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal

import redis

from bench.options import Options
from jobs.db import Database, ensure
from jobs.limiter.permits import connect
from jobs.models import DEFAULT_PROJECT, Project, table
from jobs.nudge import nudge
from jobs.presence import workers_there
from jobs.queue.intake import NewJob, submit
from jobs.schema import migrate
from jobs.settings import Settings, read_settings
from tests.faults.cluster import postgres_cluster
from tests.faults.crew import Crew
from tests.postgres import driver_url
from tests.servers import redis_server

START_SECONDS = 60
LOOK_SECONDS = 0.02


@dataclass(frozen=True, kw_only=True)
class Site:
    """What a measure works with."""

    settings: Settings
    environment: dict[str, str]
    database: Database
    redis: redis.Redis
    crew: Crew

    def hire(self, *, workers: int = 0, beats: int = 0) -> None:
        """Start workers and beats, and return once they are at work."""
        for _ in range(workers):
            self.crew.hire("worker")
        for _ in range(beats):
            self.crew.hire("beat")
        expected = len(self.crew.workers)
        until(lambda: len(workers_there(self.redis)) >= expected, "the workers are there")

    def submit(
        self, jobs: Sequence[NewJob], *, project_id: str = DEFAULT_PROJECT, batch: str | None = None
    ) -> list[str]:
        """Let jobs in as every producer does, 1,000 in a transaction."""
        ids: list[str] = []
        for start in range(0, len(jobs), 1000):
            now = self.database.now()
            with self.database.transaction() as db:
                ensure(db, table(Project), {"id": project_id, "created_at": now})
                ids += submit(
                    db, jobs[start : start + 1000], now, project_id=project_id, batch_id=batch
                )
        nudge(self.redis)
        return ids


@contextmanager
def open_site(
    options: Options, *, on: Literal["postgres", "sqlite"] = "postgres", **settings: str
) -> Iterator[Site]:
    """An installation with these settings, in this measure's folder."""
    with ExitStack() as stack:
        home = options.folder / f"home-{time.monotonic_ns()}"
        home.mkdir()
        environment = {
            "DARKROOM_HOME": str(home),
            "REDIS_URL": stack.enter_context(redis_server()),
            "STABILITY_API_KEY": "sk-bench",
            "DARKROOM_LOG": "warning",
            **settings,
        }
        if on == "postgres":
            cluster = stack.enter_context(postgres_cluster())
            environment["DATABASE_URL"] = driver_url(cluster.address, cluster.make_database())
        known = {name.lower(): value for name, value in environment.items()}
        read = read_settings(_env_file=None, **known)
        database = Database(read.database_address)
        stack.callback(database.close)
        migrate(database)
        client = stack.enter_context(connect(environment["REDIS_URL"]))
        crew = stack.enter_context(Crew(options.folder, environment))
        yield Site(
            settings=read, environment=environment, database=database, redis=client, crew=crew
        )


def until(condition: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> None:
    """Wait for a condition; raises TimeoutError with its name."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s in vain until {what}")
        time.sleep(LOOK_SECONDS)
