"""Real servers, workers and beats for one experiment, and the hands that hurt and heal them."""

import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Row, func, select

from jobs import batches
from jobs.db import Database, ensure
from jobs.limiter.permits import connect
from jobs.models import DEFAULT_PROJECT, Attempt, Job, Project, table
from jobs.nudge import nudge
from jobs.queue.intake import NewJob, submit
from jobs.schema import migrate
from jobs.settings import OnUncertain, Settings
from jobs.states import FINAL, JobState
from jobs.storage.protocol import Storage
from tests.faults.broker import Broker
from tests.faults.bucket import BucketProxy
from tests.faults.cluster import PostgresDatabase
from tests.faults.crew import Crew
from tests.faults.orders import Kind, order
from tests.faults.setup import Setup
from tests.faults.upstream import Upstream
from tests.faults.waiting import Broken, until

JOB = table(Job)
ATTEMPT = table(Attempt)

#: By then everything that was healed has to be at work again, and done.
LIVENESS_SECONDS = 120
#: What is still under way when every job is at rest has ended by then.
LATE_SECONDS = 10


class Rig:
    """What an experiment holds in its hands."""

    def __init__(
        self,
        *,
        setup: Setup,
        folder: Path,
        settings: Settings,
        environment: dict[str, str],
        broker: Broker,
        upstream: Upstream,
        bucket: BucketProxy,
        storage: Storage,
        postgres: PostgresDatabase | None,
        is_long: bool,
    ) -> None:
        self.setup = setup
        self.folder = folder
        self.settings = settings
        self.environment = environment
        self.broker = broker
        self.upstream = upstream
        self.bucket = bucket
        self.storage = storage
        self.is_long = is_long
        self.chance = random.Random(11)
        self.database = Database(settings.database_address)
        self.crew = Crew(folder, environment)
        self.submitted: list[str] = []
        self.batch_id: str | None = None
        self._postgres = postgres

    @property
    def postgres(self) -> PostgresDatabase:
        """The database, to be hurt."""
        assert self._postgres is not None, "this experiment runs on SQLite"
        return self._postgres

    def prepare(self) -> None:
        """Make the schema, the project and the batch."""
        if self._postgres is None:
            migrate(self.database)
        now = self.database.now()
        wanted = batches.NewBatch(
            name="faults", fingerprint="faults", size=0, on_uncertain="retry", about={}
        )
        with self.database.transaction() as db:
            ensure(db, table(Project), {"id": DEFAULT_PROJECT, "created_at": now})
            self.batch_id, _ = batches.open_batch(db, wanted, now, project_id=DEFAULT_PROJECT)

    def staff(self) -> None:
        """Start the workers and beats that the setup asks for."""
        extra = [*self.setup.each_worker, *[{}] * self.setup.workers][: self.setup.workers]
        for settings in extra:
            self.crew.hire("worker", **settings)
        for _ in range(self.setup.beats):
            self.crew.hire("beat")

    def count(self, short: int, long: int) -> int:
        """How many jobs this form of the suite wants."""
        return long if self.is_long else short

    def submit(
        self, count: int, kind: Kind = "mixed", *, on_uncertain: OnUncertain = "retry", **extra: Any
    ) -> list[str]:
        """Let jobs in, as every producer does; returns their ids."""
        first = len(self.submitted)
        jobs = [
            order(number, kind, on_uncertain=on_uncertain, **extra)
            for number in range(first, first + count)
        ]
        return self.let_in(jobs)

    def let_in(self, jobs: Sequence[NewJob]) -> list[str]:
        """Commit jobs and call the dispatcher."""
        now = self.database.now()
        with self.database.transaction() as db:
            ids = submit(db, jobs, now, project_id=DEFAULT_PROJECT, batch_id=self.batch_id)
        self.submitted += ids
        with connect(self.broker.url) as client:
            nudge(client)
        return ids

    def states(self) -> dict[str, int]:
        """How many jobs are in which state."""
        with self.database.reading() as db:
            rows = db.execute(select(JOB.c.state, func.count()).group_by(JOB.c.state)).all()
        return {row[0]: row[1] for row in rows}

    def done(self) -> int:
        """How many jobs have ended."""
        return sum(n for state, n in self.states().items() if state in FINAL)

    def job(self, job_id: str) -> Row[Any]:
        """One job's row."""
        with self.database.reading() as db:
            return db.execute(select(JOB).where(JOB.c.id == job_id)).one()

    def jobs(self) -> Sequence[Row[Any]]:
        """All rows."""
        with self.database.reading() as db:
            return db.execute(select(JOB)).all()

    def attempts(self) -> Sequence[Row[Any]]:
        """All attempts."""
        with self.database.reading() as db:
            return db.execute(select(ATTEMPT)).all()

    def uncertain(self) -> int:
        """How many attempts are marked uncertain."""
        return sum(attempt.uncertain_at is not None for attempt in self.attempts())

    def until(self, condition: Callable[[], bool], sentence: str, seconds: float = 60) -> None:
        """Wait for a condition."""
        until(condition, sentence, seconds)

    def until_charged(self, count: int) -> None:
        """Wait until the API has charged so many calls."""
        until(lambda: self.upstream.charged() >= count, f"{count} calls are charged")

    def until_done(self, count: int) -> None:
        """Wait until so many jobs have ended."""
        until(lambda: self.done() >= count, f"{count} jobs have ended", LIVENESS_SECONDS)

    def until_settled(self) -> None:
        """Wait until each job has ended or waits for a person."""

        def is_settled() -> bool:
            return all(is_at_rest(job) for job in self.jobs())

        until(is_settled, "every job has ended or is held", LIVENESS_SECONDS)

    def let_late_ones_end(self) -> None:
        """Wait until what was thawed or paid twice has been put away, and all is counted."""

        def is_quiet() -> bool:
            leased = any(job.lease_owner is not None for job in self.jobs())
            spool = self.settings.home / "spool"
            return not leased and not any(spool.glob("*.body"))

        with suppress(Broken):
            until(is_quiet, "the spool is empty", LATE_SECONDS)

    def leased(self) -> Sequence[Row[Any]]:
        """The jobs that workers are at now, dispatched ones left out."""
        return [job for job in self.jobs() if ":" in (job.lease_owner or "")]

    def heal(self) -> None:
        """End every fault that is still in force."""
        self.upstream.thaw()
        if not self.upstream.is_running:
            self.upstream.start()
        self.upstream.heal()
        self.bucket.heal()
        self.broker.thaw()
        if not self.broker.is_running:
            self.broker.start()
        self.crew.thaw()

    def logs(self) -> bytes:
        """All that the programs wrote."""
        return b"".join(log.read_bytes() for log in sorted(self.folder.glob("*.log")))


def is_at_rest(job: Row[Any]) -> bool:
    """Whether a job has ended, or only a person can move it."""
    return job.state in FINAL or (job.state == JobState.HELD and job.held_for != "funds")
