"""Back from a paid call to where the next one waits: the end, if it was called off meanwhile.

A cancel comes to what was not sent. What was on its way finishes, and is not begun again.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from jobs.queue.moves import BATCH, EVENT, JOB, Claim, has_next_call_reserved, move
from jobs.states import JobState

#: A person canceled the job while its call was on its way, or wants it made after all.
CALLED_OFF, RETRIED = "called_off", "retried"


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
    """Whether the job, or its batch, was canceled, and no person has retried the job since.

    The lock lets a cancel come before, and be seen here, or after, and find the job put back.
    """
    if claim.batch_id is None:
        db.execute(select(JOB.c.id).where(JOB.c.id == claim.id).with_for_update())
        return last_word(db, claim) == CALLED_OFF
    batch = select(BATCH.c.canceled_at).where(BATCH.c.id == claim.batch_id).with_for_update()
    canceled_at = db.execute(batch).scalar_one()
    return canceled_at is not None and last_word(db, claim, since=canceled_at) != RETRIED


def last_word(db: Connection, claim: Claim, since: datetime | None = None) -> str | None:
    """The verb of a person's last decision about a job, among those after `since`."""
    spoken = select(EVENT.c.verb).where(
        EVENT.c.job_id == claim.id, EVENT.c.verb.in_([CALLED_OFF, RETRIED])
    )
    if since is not None:
        spoken = spoken.where(EVENT.c.at > since)
    return db.execute(spoken.order_by(EVENT.c.id.desc()).limit(1)).scalar()
