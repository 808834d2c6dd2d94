"""What the tests of webhooks do to a database."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import select

from jobs import tallies
from jobs.db import Database
from jobs.models import DEFAULT_PROJECT
from jobs.outcomes import Refused, Stored
from jobs.queue.settling import settle
from jobs.states import JobState
from jobs.webhooks import endpoints
from jobs.webhooks.announcing import announce
from jobs.webhooks.endpoints import DELIVERY
from jobs.webhooks.secrets import Signer
from tests.factories import fault, make_job, read_claim, stored_output
from tests.servers import wait_until
from workers.maintenance.messenger import Messenger

#: A signer that nobody has.
NOBODY = Signer(b"nobody")


def make_endpoint(
    database: Database,
    url: str,
    signer: Signer = NOBODY,
    *,
    project_id: str = DEFAULT_PROJECT,
    **options: Any,
) -> str:
    """An endpoint whose secret that signer has shown."""
    with database.transaction() as db:
        return endpoints.create(db, project_id, url, database.now(), mark=signer.mark, **options)


def finish(database: Database, **columns: Any) -> str:
    """A job that has just succeeded."""
    with database.transaction() as db:
        job_id = make_job(db, JobState.STORING, **columns)
        settle(db, read_claim(db, job_id), Stored((stored_output(),)), database.now())
    return job_id


def fail(database: Database, **columns: Any) -> str:
    """A job that has just failed."""
    with database.transaction() as db:
        job_id = make_job(db, JobState.SUBMITTING, **columns)
        settle(db, read_claim(db, job_id), Refused(fault("no")), database.now())
    return job_id


def tell(database: Database) -> int:
    """What the beat does every second."""
    now = database.now()
    with database.transaction() as db:
        return announce(db, tallies.fold_events(db), now)


def rows(database: Database) -> list[Any]:
    with database.reading() as db:
        return list(db.execute(select(DELIVERY).order_by(DELIVERY.c.id)))


def deliver(messenger: Messenger, done: Callable[[], bool]) -> None:
    """Let the messenger work until that is so."""

    def is_done() -> bool:
        messenger.step()
        return done()

    wait_until(is_done, "the messages are delivered")
