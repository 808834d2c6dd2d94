"""Back from a paid call to where the next one waits: the end, if the batch was canceled meanwhile.

A cancel comes to what was not sent. What was on its way finishes, and is not begun again.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from jobs.queue.moves import BATCH, EVENT, Claim, has_next_call_reserved, move
from jobs.states import JobState


def put_back(
    db: Connection,
    claim: Claim,
    target: JobState,
    now: datetime,
    *,
    verb: str,
    note: str,
    **changes: Any,
) -> bool:
    """`move` to `queued` or `held`, and from there to `canceled` if the job is called off."""
    called_off = is_called_off(db, claim)
    kept = move(db, claim, target, now, verb=verb, note=note, **changes)
    if kept and called_off:
        back = replace(claim, state=target)
        reserved = has_next_call_reserved(target, changes.get("held_for"))
        move(db, back, JobState.CANCELED, now, verb="canceled", release=reserved)
    return kept


def is_called_off(db: Connection, claim: Claim) -> bool:
    """Whether the job's batch was canceled, and no person has retried the job since."""
    if claim.batch_id is None:
        return False
    # The lock lets a cancel come before, and be seen here, or after, and find the job put back.
    batch = select(BATCH.c.canceled_at).where(BATCH.c.id == claim.batch_id).with_for_update()
    canceled_at = db.execute(batch).scalar_one()
    if canceled_at is None:
        return False
    retried = select(EVENT.c.id).where(
        EVENT.c.job_id == claim.id, EVENT.c.verb == "retried", EVENT.c.at > canceled_at
    )
    return db.execute(retried.limit(1)).first() is None
