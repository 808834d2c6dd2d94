"""What a lost worker had begun: use whatever it got before anything is paid again.

An answer may have been left in the attempt's row, in this machine's spool, or in the bucket.
"""

from dataclasses import replace
from datetime import timedelta

from jobs.catalog.operation import Operation
from jobs.errors import JobError
from jobs.outcomes import Accepted, Outcome, Received, Stored, TryAgain, Uncertain
from jobs.queue import attempts, leases, settling
from jobs.queue.moves import Claim
from jobs.states import JobState
from workers.answers import bytes_lost
from workers.delivery import deliver, find_stored, store_found
from workers.resources import Resources

ANSWER_LOST = JobError(
    code="worker_lost",
    message="The worker was lost between sending the request and keeping its answer.",
    error_class="ours",
    retryable=True,
    charged="unknown",
)
REFUSED_LATE = JobError(
    code="refused_late",
    message="The API had refused the call when its worker was taken for lost; it is made again.",
    error_class="ours",
    retryable=True,
    charged="no",
)


def recover(r: Resources, operation: Operation, claim: Claim) -> Outcome | None:
    """Go on from where the last owner stopped; None if the job was handed on.

    Raises StorageError when the bucket is away.
    """
    assert claim.attempt_id is not None
    with r.database.reading() as db:
        attempt = attempts.find_attempt(db, claim.attempt_id)
    gap = r.settings.poll_gap
    if claim.state == JobState.SUBMITTING and attempt.refused_at is not None:
        return TryAgain(REFUSED_LATE, timedelta(0), spends_try=False)
    if claim.state == JobState.SUBMITTING and attempt.result_id is not None:
        return Accepted(attempt.result_id, gap)
    if r.spool.find(claim.attempt_id) is not None or find_stored(r, claim) is not None:
        if claim.state == JobState.SUBMITTING:
            hand_on(r, claim)
            return None
        return deliver(r, operation, claim)
    if claim.state == JobState.STORING:
        return bytes_lost(r, operation, claim)
    return Uncertain(ANSWER_LOST)


def hand_on(r: Resources, claim: Claim) -> None:
    """Commit that the bytes came, and let the job go to whoever takes it next.

    The last owner may have died of these very bytes: from here on every death is counted.
    """
    r.persist_with(settling.settle_all, (claim, Received()))
    r.persist(lambda db, now: leases.hand_on(db, claim, now))


def adopt_late(r: Resources, operation: Operation, claim: Claim) -> bool:
    """Look for an answer to an earlier attempt of a queued job; tells whether there was one."""
    with r.database.reading() as db:
        earlier = attempts.usable_attempts(db, claim.id)
    for row in earlier:
        found = replace(
            claim,
            attempt_id=row.id,
            attempt_number=row.number,
            credential_id=row.credential_id,
            accepted_at=row.accepted_at,
            result_id=row.result_id,
        )
        if row.result_id is not None:
            return adopt(r, claim, found, JobState.POLLING)
        if is_in_bucket(r, operation, found):
            return adopt(r, claim, found, JobState.STORING)
    return False


def is_in_bucket(r: Resources, operation: Operation, found: Claim) -> bool:
    """Whether an attempt's outputs are in the bucket; those in this machine's spool are put there.

    From the bucket any machine can go on. Raises StorageError when it is away.
    """
    assert found.attempt_id is not None
    if r.spool.find(found.attempt_id) is None:
        return find_stored(r, found) is not None
    return isinstance(store_found(r, operation, found), Stored)


def adopt(r: Resources, claim: Claim, found: Claim, target: JobState) -> bool:
    """Let the job go on from an earlier attempt."""
    return r.persist(
        lambda db, now: attempts.adopt(db, claim, found, target, now, result_id=found.result_id)
    )
