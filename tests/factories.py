"""Rows for tests: a job in any state with its attempts and its story, a batch, an outcome.

A test that is about a verb calls the verb; what only has to be there first is made here.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from jobs.errors import JobError
from jobs.models import DEFAULT_PROJECT, Attempt, new_id, table
from jobs.outcomes import StoredOutput
from jobs.queue import leases
from jobs.queue.attempts import begin
from jobs.queue.intake import NewJob
from jobs.queue.moves import BATCH, CLAIM_COLUMNS, EVENT, JOB, Claim, reserve_budget
from jobs.states import FINAL, JobState

ATTEMPT = table(Attempt)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LEASE = timedelta(seconds=60)
PRICE = 3000
CREDENTIAL = "key-test"
OWNER = "worker"

S = JobState
#: How a job comes to its state: each change with its verb.
STORIES: dict[JobState, tuple[tuple[str, JobState], ...]] = {
    S.WAITING: (("submitted", S.WAITING),),
    S.QUEUED: (("submitted", S.QUEUED),),
    S.SUBMITTING: (("submitted", S.QUEUED), ("submitting", S.SUBMITTING)),
    S.POLLING: (("submitted", S.QUEUED), ("submitting", S.SUBMITTING), ("accepted", S.POLLING)),
    S.STORING: (("submitted", S.QUEUED), ("submitting", S.SUBMITTING), ("received", S.STORING)),
    S.HELD: (("submitted", S.QUEUED), ("submitting", S.SUBMITTING), ("uncertain", S.HELD)),
    S.SUCCEEDED: (
        ("submitted", S.QUEUED),
        ("submitting", S.SUBMITTING),
        ("received", S.STORING),
        ("succeeded", S.SUCCEEDED),
    ),
    S.FILTERED: (
        ("submitted", S.QUEUED),
        ("submitting", S.SUBMITTING),
        ("received", S.STORING),
        ("filtered", S.FILTERED),
    ),
    S.FAILED: (("submitted", S.QUEUED), ("submitting", S.SUBMITTING), ("failed", S.FAILED)),
    S.CANCELED: (("submitted", S.QUEUED), ("canceled", S.CANCELED)),
    S.SKIPPED: (("submitted", S.WAITING), ("skipped", S.SKIPPED)),
}
#: What the last attempt of a job in such a state knows.
FACTS: dict[JobState, dict[str, Any]] = {
    S.SUBMITTING: {},
    S.POLLING: {"accepted_at": NOW, "result_id": "result"},
    S.STORING: {"received_at": NOW},
    S.HELD: {"uncertain_at": NOW},
    S.SUCCEEDED: {"received_at": NOW},
    S.FILTERED: {"received_at": NOW},
    S.FAILED: {"refused_at": NOW},
}
#: States that come after a paid answer.
ANSWERED = frozenset({S.POLLING, S.STORING, S.SUCCEEDED, S.FILTERED})
#: States for which nothing is set aside in a batch's budget.
FREE = frozenset({S.FAILED, S.CANCELED, S.SKIPPED})


def make_job(db: Connection, state: JobState = S.QUEUED, **columns: Any) -> str:
    """Insert a job in this state with its attempts and events; returns its id.

    A submitting or storing job is leased to `OWNER`, a queued or polling one is due at `NOW`.
    """
    job_id = columns.pop("id", None) or new_id()
    begun = state in FACTS and columns.get("held_for", "uncertain") == "uncertain"
    row = _defaults(state, has_attempt=begun) | {"id": job_id} | columns
    if row["lease_owner"] is not None:
        row["due_at"] = None
        row["lease_until"] = row["lease_until"] or NOW + LEASE
    if begun:
        row["attempt_id"] = row.get("attempt_id") or new_id()
    db.execute(insert(JOB), row)
    if begun:
        _insert_attempts(db, row, state)
    _insert_events(db, row, state if begun or state != S.HELD else S.QUEUED)
    if state not in FREE and row["held_for"] != "budget":
        reserve_budget(db, row["batch_id"], row["estimated_milli"])
    return str(job_id)


def _defaults(state: JobState, *, has_attempt: bool) -> dict[str, Any]:
    leased = state in {S.SUBMITTING, S.STORING}
    number = 1 if has_attempt else 0
    return {
        "project_id": DEFAULT_PROJECT,
        "batch_id": None,
        "operation": "upscale/creative",
        "params": {"prompt": "a lighthouse"},
        "inputs": {},
        "labels": {},
        "on_uncertain": "retry",
        "state": state,
        "held_for": "uncertain" if state == S.HELD else None,
        "due_at": NOW if state in {S.QUEUED, S.POLLING} else None,
        "lease_owner": OWNER if leased else None,
        "lease_until": None,
        "attempts": number,
        "attempt_number": number or None,
        "credential_id": CREDENTIAL if has_attempt else None,
        "result_id": "result" if state == S.POLLING else None,
        "accepted_at": NOW if state == S.POLLING else None,
        "estimated_milli": PRICE,
        "charged_milli": PRICE if state in ANSWERED else 0,
        "created_at": NOW,
        "started_at": NOW if has_attempt else None,
        "finished_at": NOW if state in FINAL else None,
    }


def _insert_attempts(db: Connection, row: dict[str, Any], state: JobState) -> None:
    for number in range(1, row["attempts"] + 1):
        is_last = number == row["attempts"]
        attempt = {
            "id": row["attempt_id"] if is_last else new_id(),
            "job_id": row["id"],
            "number": number,
            "credential_id": CREDENTIAL,
            "owner": OWNER,
            "begun_at": NOW,
        }
        db.execute(insert(ATTEMPT), attempt | (FACTS[state] if is_last else {"refused_at": NOW}))


def _insert_events(db: Connection, row: dict[str, Any], state: JobState) -> None:
    origin = None
    for verb, target in STORIES[state]:
        last = row["state"] if (verb, target) == STORIES[state][-1] else target
        event = {
            "job_id": row["id"],
            "project_id": row["project_id"],
            "batch_id": row["batch_id"],
            "at": NOW,
            "verb": verb,
            "origin": origin,
            "target": last,
            "charged_milli": row["charged_milli"] if verb in {"accepted", "received"} else 0,
        }
        db.execute(insert(EVENT), event)
        origin = last


def make_batch(db: Connection, **columns: Any) -> str:
    """Insert a batch; returns its id."""
    batch_id = str(columns.pop("id", None) or new_id())
    row = {
        "id": batch_id,
        "project_id": DEFAULT_PROJECT,
        "name": batch_id,
        "fingerprint": "fingerprint",
        "on_uncertain": "retry",
        "size": 0,
        "created_at": NOW,
    }
    db.execute(insert(BATCH), row | columns)
    return batch_id


def new_job(**changes: Any) -> NewJob:
    """A job that is about to be let in; it costs `PRICE`."""
    return NewJob(**({"operation": "generate/core", "params": {"prompt": "a hare"}} | changes))


def read_job(db: Connection, job_id: str) -> Row[Any]:
    """The whole row."""
    return db.execute(select(JOB).where(JOB.c.id == job_id)).one()


def read_claim(db: Connection, job_id: str) -> Claim:
    """The job as one who owns it now knows it."""
    return Claim.of(db.execute(select(*CLAIM_COLUMNS).where(JOB.c.id == job_id)).one())


def read_batch(db: Connection, batch_id: str) -> Row[Any]:
    """The whole row."""
    return db.execute(select(BATCH).where(BATCH.c.id == batch_id)).one()


def take_due(
    db: Connection, now: datetime = NOW, *, owner: str = OWNER, limit: int = 100
) -> list[Claim]:
    """Claim what is due, as a dispatcher does, and take it, as a worker does."""
    ids = leases.claim_due(db, now, limit=limit, lease=LEASE)
    return leases.take(db, ids, now, owner=owner, lease=LEASE)


def begin_next(db: Connection, now: datetime = NOW, *, owner: str = OWNER) -> Claim:
    """Take the only job that is due, and commit to a paid call of it."""
    (claim,) = take_due(db, now, owner=owner)
    begun = begin(db, claim, now, credential_id=CREDENTIAL, owner=owner)
    assert begun is not None
    return begun


def fault(charged: str = "unknown", code: str = "a_fault") -> JobError:
    """What went wrong, for outcomes that need a reason."""
    return JobError(
        code=code,
        message="Something went wrong.",
        error_class="provider",
        retryable=True,
        charged=charged,  # type: ignore[arg-type]
    )


def stored_output(number: int = 0, finish_reason: str = "SUCCESS") -> StoredOutput:
    """An output that lies in the bucket."""
    return StoredOutput(
        number=number,
        key=f"outputs/{number}.png",
        content_type="image/png",
        bytes=3,
        sha256="00",
        width=1,
        height=1,
        seed=7,
        finish_reason=finish_reason,
    )
