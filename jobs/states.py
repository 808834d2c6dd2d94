"""The states of a job and the moves between them; `docs/state_machine.md` is the picture."""

from enum import StrEnum


class JobState(StrEnum):
    """Where a job is on its way."""

    #: For another job's output, or for a date.
    WAITING = "waiting"
    #: May start as soon as a worker and a permit are free.
    QUEUED = "queued"
    #: The intent is committed: the paid call may be on its way.
    SUBMITTING = "submitting"
    #: The API works on it; its result id is committed.
    POLLING = "polling"
    #: The bytes were received and are on their way to the bucket.
    STORING = "storing"
    #: A person, or money, must decide how it goes on.
    HELD = "held"
    #: Object, checksum and row are all there.
    SUCCEEDED = "succeeded"
    #: Paid and stored, but the API says CONTENT_FILTERED.
    FILTERED = "filtered"
    #: Ended without an output; `error` says why.
    FAILED = "failed"
    #: Somebody stopped it.
    CANCELED = "canceled"
    #: A job that it needs did not succeed.
    SKIPPED = "skipped"


FINAL = frozenset(
    {
        JobState.SUCCEEDED,
        JobState.FILTERED,
        JobState.FAILED,
        JobState.CANCELED,
        JobState.SKIPPED,
    }
)

#: All others: these jobs are still to end.
OPEN = frozenset(JobState) - FINAL

#: The API may already have been paid for these; only their own worker, or its heir, moves them.
PAID = frozenset({JobState.SUBMITTING, JobState.POLLING, JobState.STORING})

#: Every legal move. `jobs/queue` refuses any other.
MOVES: dict[JobState, frozenset[JobState]] = {
    JobState.WAITING: frozenset({JobState.QUEUED, JobState.CANCELED, JobState.SKIPPED}),
    JobState.QUEUED: frozenset(
        {
            JobState.SUBMITTING,
            JobState.POLLING,
            JobState.STORING,
            JobState.HELD,
            JobState.CANCELED,
            JobState.FAILED,
        }
    ),
    JobState.SUBMITTING: frozenset(
        {
            JobState.QUEUED,
            JobState.POLLING,
            JobState.STORING,
            JobState.HELD,
            JobState.FAILED,
        }
    ),
    JobState.POLLING: frozenset(
        {JobState.STORING, JobState.QUEUED, JobState.HELD, JobState.FAILED}
    ),
    JobState.STORING: frozenset(
        {
            JobState.SUCCEEDED,
            JobState.FILTERED,
            JobState.POLLING,
            JobState.QUEUED,
            JobState.HELD,
            JobState.FAILED,
        }
    ),
    JobState.HELD: frozenset(
        {
            JobState.WAITING,
            JobState.QUEUED,
            JobState.POLLING,
            JobState.STORING,
            JobState.CANCELED,
            JobState.SKIPPED,
            JobState.FAILED,
        }
    ),
    JobState.SUCCEEDED: frozenset(),
    JobState.FILTERED: frozenset(),
    # Final for all but a person, who may open these again.
    JobState.FAILED: frozenset({JobState.QUEUED}),
    JobState.CANCELED: frozenset({JobState.QUEUED, JobState.WAITING}),
    JobState.SKIPPED: frozenset({JobState.QUEUED, JobState.WAITING}),
}


def can_move(origin: JobState, target: JobState) -> bool:
    """Tell whether a job may go from `origin` to `target` in one step."""
    return target in MOVES[origin]
