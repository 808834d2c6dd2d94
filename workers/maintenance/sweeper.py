"""Answers that lie in this machine's spool, and that nobody works on: back to their jobs.

A worker that was cut off may have received bytes for a job that was given up as uncertain.
They were paid for, so the job gets them, if it still waits.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.exc import SQLAlchemyError

from jobs.catalog.loader import operation as find_operation
from jobs.errors import InvalidJob, StorageError
from jobs.models import Attempt, Job, table
from jobs.queue import attempts
from jobs.queue.moves import CLAIM_COLUMNS, Claim
from jobs.states import FINAL, JobState
from jobs.telemetry import log
from workers.executor import MOST_CRASHES
from workers.recovery import is_in_bucket
from workers.resources import Resources

ATTEMPT = table(Attempt)
JOB = table(Job)

EVERY_SECONDS = 60.0
#: Younger answers are in the hands of those who received them.
YOUNG = timedelta(minutes=1)
#: Half-written files older than this belong to nobody.
STALE = timedelta(hours=1)
#: Jobs that wait for nobody's answer, and take one.
UNANSWERED = frozenset({JobState.QUEUED, JobState.HELD})
#: Jobs that may go on from the bucket: the executor, or a person, brings them to it.
LATER = frozenset({JobState.STORING, JobState.FAILED})


def keep_sweeping(r: Resources) -> None:
    """Now and then until the process ends, in a thread of its own: a bucket may be slow.

    The first sweep takes young answers, too: nobody here has received any yet.
    """
    older_than = timedelta(0)
    while True:
        try:
            sweep_spool(r, older_than)
        except (StorageError, SQLAlchemyError) as error:
            log.warning("sweeping_failed", error=type(error).__name__)
        if r.ended.wait(EVERY_SECONDS):
            return
        older_than = YOUNG


def sweep_spool(r: Resources, older_than: timedelta = timedelta(0)) -> int:
    """Offer what has lain there for so long to its jobs; returns how many took it."""
    r.spool.clean(STALE)
    r.storage.clean(STALE)
    return sum(try_offer(r, attempt_id) for attempt_id in r.spool.pending(older_than))


def try_offer(r: Resources, attempt_id: str) -> bool:
    """`offer`, but an answer that cannot be offered stays, and does not stop the others."""
    if r.stopping.is_set():
        return False
    try:
        return offer(r, attempt_id)
    except SQLAlchemyError:
        raise
    except (InvalidJob, StorageError) as error:
        # A newer Darkroom may have let the job in, or the bucket is away.
        r.changes.say(f"answer {attempt_id}", str(error))
    except Exception:
        log.exception("answer_left", attempt=attempt_id)
    return False


def offer(r: Resources, attempt_id: str) -> bool:
    """Give one answer back to its job, or forget it if the job has ended well."""
    row = find_job(r, attempt_id)
    if row is None:
        return False
    claim = Claim.of(row)
    if claim.state in FINAL - {JobState.FAILED}:
        r.spool.discard(attempt_id)
        return False
    # A worker may have died of these very bytes: as long as the executor is to look at the job, or
    # has given it up, only it counts that. It has yet to look at a job that is being sent, whose
    # worker may not have told of the bytes.
    is_free = claim.state in UNANSWERED or (claim.state in LATER and claim.crashes == 0)
    if row.lease_owner is not None or not is_free:
        return False
    found = replace(claim, attempt_id=attempt_id, attempt_number=row.found_number)
    if not bring(r, found):
        return False
    if claim.state == JobState.FAILED:
        # If a person lets it run again, it goes on from the bucket.
        r.spool.discard(attempt_id)
        return False
    with r.database.transaction() as db:
        taken = attempts.offer_late(db, found, JobState.STORING, r.database.now())
    if taken:
        log.info("answer_adopted", job=claim.id, attempt=attempt_id)
    return taken


def find_job(r: Resources, attempt_id: str) -> Row[*tuple[Any, ...]] | None:
    """The attempt's job, as it is now."""
    with r.database.reading() as db:
        return db.execute(
            select(*CLAIM_COLUMNS, JOB.c.lease_owner, ATTEMPT.c.number.label("found_number"))
            .join(ATTEMPT, ATTEMPT.c.job_id == JOB.c.id)
            .where(ATTEMPT.c.id == attempt_id)
        ).one_or_none()


def bring(r: Resources, found: Claim) -> bool:
    """Store an answer; tells whether it is in the bucket.

    Beside live workers of this machine that is safe: nothing is taken out of the spool, and to
    store an answer twice does no harm. What killed several that tried is left alone.
    """
    assert found.attempt_id is not None
    operation = find_operation(found.operation)
    with r.spool.alone(found.attempt_id, most_deaths=MOST_CRASHES) as may_try:
        return may_try and is_in_bucket(r, operation, found)
