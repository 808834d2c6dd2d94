"""One worker's resources on a real database, Redis and sandbox, with a dispatcher that is a test.

Nothing runs by itself: `work` claims what is due, now or later, and takes each job one step.
"""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from sqlalchemy import Row, select, update

from jobs.clock import uptime
from jobs.models import Attempt, Output, table
from jobs.queue import intake, leases
from jobs.queue.intake import NewJob
from jobs.queue.moves import JOB, Claim
from jobs.settings import read_settings
from jobs.states import JobState
from tests.integration.sandbox.caller import Caller, picture
from workers.executor import NOT_SENT, execute
from workers.resources import Resources, build_resources

ATTEMPT = table(Attempt)
OUTPUT = table(Output)

#: So long ahead everything is due that will ever be.
LATER = timedelta(days=2)
HOUR = timedelta(hours=1)
#: Slots that a busy machine may miss.
PATIENCE = 20


@dataclass(frozen=True)
class Workshop:
    """A worker and the sandbox that it works with."""

    r: Resources
    api: Caller

    def submit(self, operation: str = "generate/core", **changes: Any) -> str:
        """Let a job in; returns its id."""
        job = NewJob(**({"operation": operation, "params": {"prompt": "a quiet lake"}} | changes))
        with self.r.database.transaction() as db:
            (job_id,) = intake.submit(db, [job], self.r.database.now(), project_id="default")
        return job_id

    def take(self) -> list[Claim]:
        """Claim and take everything, however late it is due."""
        now = self.r.database.now()
        with self.r.database.transaction() as db:
            ids = leases.claim_due(db, now + LATER, limit=100, lease=HOUR)
            return leases.take(db, ids, now, owner=self.r.owner, lease=HOUR)

    def work(self) -> None:
        """Take each job one step; again if the machine was too busy to be in time for its slot."""
        for _ in range(PATIENCE):
            for claim in self.take():
                execute(self.r, claim)
            if not self._is_late():
                return

    def _is_late(self) -> bool:
        wanted = select(JOB.c.error).where(JOB.c.state == JobState.QUEUED)
        with self.r.database.reading() as db:
            errors = [error for error in db.execute(wanted).scalars() if error]
        return any(error["message"] == NOT_SENT.message for error in errors)

    def job(self, job_id: str) -> Row[Any]:
        """The job's row."""
        with self.r.database.reading() as db:
            return db.execute(select(JOB).where(JOB.c.id == job_id)).one()

    def attempts(self, job_id: str) -> list[Row[Any]]:
        """The job's attempts, the first one first."""
        wanted = select(ATTEMPT).where(ATTEMPT.c.job_id == job_id).order_by(ATTEMPT.c.number)
        with self.r.database.reading() as db:
            return list(db.execute(wanted))

    def outputs(self, job_id: str) -> list[Row[Any]]:
        """The job's outputs."""
        wanted = select(OUTPUT).where(OUTPUT.c.job_id == job_id).order_by(OUTPUT.c.number)
        with self.r.database.reading() as db:
            return list(db.execute(wanted))

    def due_in(self, job_id: str) -> timedelta:
        """How long until the job is due."""
        due_at = self.job(job_id).due_at
        assert due_at is not None
        wait: timedelta = due_at - self.r.database.now()
        return wait

    def charges(self) -> int:
        """What the sandbox charged for."""
        return len(self.api.ledger()["charges"])

    def sent(self) -> int:
        """Requests of this worker's key that reached the sandbox."""
        accounts = self.api.get("/_sandbox/ledger").json()["keys"]
        digest = sha256(self.api.key.encode()).hexdigest()
        mine = [account for account in accounts if account["key_sha256"] == digest]
        return sum(sum(account["by_status"].values()) for account in mine)


@contextmanager
def workshop(
    api: Caller, *, database_url: str, redis_url: str, home: Path, **settings: Any
) -> Iterator[Workshop]:
    """A worker with the caller's key, whose limiter knows that nothing was sent yet."""
    chosen = {"stability_api_key": api.key, "darkroom_answer_seconds": 2, **settings}
    r = build_resources(
        read_settings(
            _env_file=None,
            stability_api_host=api.address,
            database_url=database_url,
            redis_url=redis_url,
            darkroom_home=home,
            **chosen,
        )
    )
    r.leased_until = uptime() + HOUR.total_seconds()
    r.keyring.register()
    for credential_id in r.keyring.ids:
        r.limiter.open(credential_id, quiet=HOUR)
    try:
        yield Workshop(r, api)
    finally:
        r.ended.set()
        r.commits.close()
        r.database.close()
        r.redis.close()


def polled(shop: Workshop, **changes: Any) -> str:
    """A job whose result is polled for."""
    content = base64.b64encode(picture(256, 256)).decode()
    image = f"data:image/png;base64,{content}"
    return shop.submit("upscale/creative", inputs={"image": image}, **changes)


def change_job(shop: Workshop, job_id: str, **values: Any) -> None:
    """Let the job look as if something had happened."""
    with shop.r.database.transaction() as db:
        db.execute(update(JOB).where(JOB.c.id == job_id).values(values))
