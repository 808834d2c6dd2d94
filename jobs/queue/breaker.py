"""The breaker: when answers to paid calls are lost one after the other, stop paying.

Each lost answer may be a charge. So after several in a row only a probe is sent now and then,
until one is answered. Polls are free and go on.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, or_, select

from jobs.models import Attempt, table

ATTEMPT = table(Attempt)

#: Lost answers in a row that open the breaker.
OPENS_AT = 5
#: Older losses do not count.
MEMORY = timedelta(minutes=30)
#: Until the first probe, doubled after each that is lost, up to the longest.
FIRST_PROBE = timedelta(seconds=10)
LONGEST_PROBE = timedelta(minutes=5)


def next_probe(db: Connection, now: datetime) -> datetime | None:
    """When a single call may be tried; None while the breaker is closed."""
    losses: list[datetime] = list(
        db.execute(
            select(ATTEMPT.c.uncertain_at)
            .where(ATTEMPT.c.uncertain_at > now - MEMORY)
            .order_by(ATTEMPT.c.uncertain_at.desc())
        ).scalars()
    )
    if len(losses) < OPENS_AT or _was_answered(db, since=losses[OPENS_AT - 1]):
        return None
    in_row = OPENS_AT
    while in_row < len(losses) and not _was_answered(db, since=losses[in_row]):
        in_row += 1
    wait = FIRST_PROBE * int(2 ** min(in_row - OPENS_AT, 16))
    return max(losses) + min(wait, LONGEST_PROBE)


def may_begin(db: Connection, now: datetime) -> bool:
    """Whether a paid call may be begun: the breaker is closed, or this is the one probe."""
    probe_at = next_probe(db, now)
    if probe_at is None:
        return True
    probing = (
        select(ATTEMPT.c.id)
        .where(
            ATTEMPT.c.begun_at >= probe_at,
            ATTEMPT.c.refused_at.is_(None),
            ATTEMPT.c.uncertain_at.is_(None),
        )
        .limit(1)
    )
    return now >= probe_at and db.execute(probing).first() is None


def _was_answered(db: Connection, *, since: datetime) -> bool:
    """Whether a paid call was answered since; only calls begun lately can have been."""
    found: Any = db.execute(
        select(ATTEMPT.c.id)
        .where(
            ATTEMPT.c.begun_at > since - MEMORY,
            or_(ATTEMPT.c.accepted_at > since, ATTEMPT.c.received_at > since),
        )
        .limit(1)
    ).first()
    return found is not None
