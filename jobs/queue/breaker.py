"""The breaker: when answers to paid calls are lost one after the other, stop paying.

Each lost answer may be a charge. So after several in a row only a probe is sent now and then,
until one is answered. Polls are free and go on.
"""

from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, func, select

from jobs.models import Attempt, table

ATTEMPT = table(Attempt)

#: Lost answers in a row that open the breaker.
OPENS_AT = 5
#: Older losses do not count.
MEMORY = timedelta(minutes=30)
#: So many losses are looked at; more would not change the answer.
MOST_LOSSES = 500
#: So many answers, of the calls begun last, are looked at for the latest.
MOST_ANSWERS = 200
#: Until the first probe, doubled after each that is lost, up to the longest.
FIRST_PROBE = timedelta(seconds=10)
LONGEST_PROBE = timedelta(minutes=5)
#: A worker that died tells nothing about the API, however many calls it had in flight; nor does an
#: answer that came whole, of a path that nobody knows, and cannot be used.
TELL_NOTHING = ("worker_lost", "unusable_answer")

#: Built once, as it is asked before every paid call.
LOSSES = (
    select(ATTEMPT.c.begun_at, ATTEMPT.c.uncertain_at)
    .where(ATTEMPT.c.uncertain_at > bindparam("since"), ATTEMPT.c.note.not_in(TELL_NOTHING))
    .order_by(ATTEMPT.c.uncertain_at.desc())
    .limit(MOST_LOSSES)
)


def next_probe(db: Connection, now: datetime) -> datetime | None:
    """When a single call may be tried; None while the breaker is closed."""
    losses = db.execute(LOSSES, {"since": now - MEMORY}).all()
    if len(losses) < OPENS_AT:
        return None
    answered_at = _last_answer(db, now)
    in_row = [loss for loss in losses if answered_at is None or loss.uncertain_at > answered_at]
    if len(in_row) < OPENS_AT:
        return None
    opened_at = in_row[-OPENS_AT].uncertain_at
    # What was in flight when it opened is no probe, however many calls that were.
    probes = sum(loss.begun_at > opened_at for loss in in_row)
    wait = FIRST_PROBE * int(2 ** min(probes, 16))
    last: datetime = in_row[0].uncertain_at
    return last + min(wait, LONGEST_PROBE)


def most_to_begin(db: Connection, now: datetime) -> int | None:
    """How many paid calls may be begun: any number while it is closed (None), else one probe."""
    probe_at = next_probe(db, now)
    if probe_at is None:
        return None
    probing = (
        select(ATTEMPT.c.id)
        .where(
            ATTEMPT.c.begun_at >= probe_at,
            ATTEMPT.c.refused_at.is_(None),
            ATTEMPT.c.uncertain_at.is_(None),
        )
        .limit(1)
    )
    return int(now >= probe_at and db.execute(probing).first() is None)


def _last_answer(db: Connection, now: datetime) -> datetime | None:
    """When a paid call was answered last, among those begun lately."""
    # An asynchronous call is answered with an id: its bytes come by a poll, which says nothing of
    # paid calls.
    answered_at = func.coalesce(ATTEMPT.c.accepted_at, ATTEMPT.c.received_at)
    # The newest calls come first: under load some of the first few were answered.
    newest = (
        select(answered_at.label("at"))
        .where(ATTEMPT.c.begun_at > now - MEMORY, answered_at.is_not(None))
        .order_by(ATTEMPT.c.begun_at.desc())
        .limit(MOST_ANSWERS)
        .subquery()
    )
    latest: datetime | None = db.execute(select(func.max(newest.c.at))).scalar()
    return latest
