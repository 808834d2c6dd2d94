"""Answers that lie in this machine's spool, and that nobody works on: back to their jobs.

A worker that was cut off may have received bytes for a job that was given up as uncertain.
They were paid for, so the job gets them, if it still waits.
"""

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import select

from jobs.catalog.loader import operation as find_operation
from jobs.errors import StorageError
from jobs.models import Attempt, Job, table
from jobs.queue import attempts
from jobs.queue.moves import CLAIM_COLUMNS, Claim
from jobs.states import FINAL, JobState
from jobs.telemetry import log
from workers.recovery import is_in_bucket
from workers.resources import Resources

ATTEMPT = table(Attempt)
JOB = table(Job)

#: Half-written files older than this belong to nobody.
STALE = timedelta(hours=1)


def sweep_spool(r: Resources) -> int:
    """Offer what lies there to its jobs; returns how many took it."""
    try:
        r.spool.clean(STALE)
        return sum(offer(r, attempt_id) for attempt_id in r.spool.pending())
    except StorageError as error:
        r.changes.say(error.code, str(error))
        return 0


def offer(r: Resources, attempt_id: str) -> bool:
    """Give one answer back to its job, or forget it if the job has ended well."""
    with r.database.reading() as db:
        row = db.execute(
            select(*CLAIM_COLUMNS, JOB.c.lease_owner, ATTEMPT.c.number.label("found_number"))
            .join(ATTEMPT, ATTEMPT.c.job_id == JOB.c.id)
            .where(ATTEMPT.c.id == attempt_id)
        ).one_or_none()
    if row is None:
        return False
    claim = Claim.of(row)
    if claim.state in FINAL - {JobState.FAILED}:
        r.spool.discard(attempt_id)
        return False
    # A worker may have died of these very bytes: only the executor counts that, and gives up.
    # It has yet to look at a job that is being sent, whose worker may not have told of the bytes.
    if row.lease_owner is not None or claim.crashes or claim.state == JobState.SUBMITTING:
        return False
    found = replace(claim, attempt_id=attempt_id, attempt_number=row.found_number)
    if not is_in_bucket(r, find_operation(claim.operation), found):
        return False
    taken = r.persist(lambda db, now: attempts.offer_late(db, found, JobState.STORING, now))
    if taken:
        log.info("answer_adopted", job=claim.id, attempt=attempt_id)
    return taken
