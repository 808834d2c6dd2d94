"""Who works on what, and for how long: claim, take, keep, give back, rescue.

A lease is dated by the database's clock. It passes from the dispatcher (`DISPATCHED`) to the
worker that takes the job out of Celery, and whoever loses it is fenced off.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    case,
    func,
    literal,
    or_,
    select,
    update,
)

from jobs.models import ABANDONED, DISPATCHED
from jobs.queue.dispatch import dispatch, lock
from jobs.queue.moves import CLAIM_COLUMNS, JOB, Claim, write_event
from jobs.queue.starts import Turns, claim_new
from jobs.states import JobState

#: Calls last about as long. A job that its worker may have died of comes back after its neighbours,
#: which come back at once: the next worker that dies of it does not cut off the same calls again.
AFTER_DEATH = timedelta(seconds=10)

TAKE = (
    update(JOB)
    .where(JOB.c.id.in_(bindparam("ids", expanding=True)), JOB.c.lease_owner == DISPATCHED)
    .values(lease_owner=bindparam("owner"), lease_until=bindparam("until"), fence=JOB.c.fence + 1)
    .returning(*CLAIM_COLUMNS)
)

#: A worker has the job, and may die of it. A queued one is not begun, and a submitting one is
#: bounded by the policy for uncertain calls.
TAKEN = JOB.c.lease_owner != DISPATCHED
POLLED = and_(TAKEN, JOB.c.state == JobState.POLLING)
STORED = and_(TAKEN, JOB.c.state == JobState.STORING)


@dataclass(frozen=True)
class Load:
    """What is on its way: sent or waiting for a permit, and everything leased."""

    waiting: int
    leased: int


def claim_due(
    db: Connection,
    now: datetime,
    *,
    limit: int,
    lease: timedelta,
    starts: int | None = None,
    turns: Turns | None = None,
    may_ask: bool = True,
) -> list[str]:
    """Claim up to `limit` due jobs for the dispatcher, of them at most `starts` new ones.

    Paid jobs come first, those whose results expire soonest before the others; then new ones by
    priority, within one in turns. Their leases run `lease` long; whoever takes a job from Celery
    renews it. Without `may_ask` those stay whose results would be asked for.
    """
    due = _due_to_go_on(now)
    if not may_ask:
        due = due.where(JOB.c.state != JobState.POLLING)
    claimed = [row.id for row in lock(db, due.limit(limit))]
    dispatch(db, claimed, now + lease)
    starts = min(limit - len(claimed), limit if starts is None else starts)
    if starts > 0:
        claimed += claim_new(db, now, starts, now + lease, turns or Turns())
    return claimed


def _due_to_go_on(now: datetime) -> Select[Any]:
    return (
        select(JOB.c.id)
        .where(JOB.c.due_at <= now, JOB.c.state != JobState.QUEUED)
        .order_by(func.coalesce(JOB.c.accepted_at, JOB.c.due_at))
    )


def next_to_go_on(db: Connection, now: datetime) -> datetime | None:
    """When the next job that was begun is due, of those that are not due yet."""
    later = select(func.min(JOB.c.due_at)).where(JOB.c.due_at > now, JOB.c.state != JobState.QUEUED)
    found: datetime | None = db.execute(later).scalar_one()
    return found


def take(
    db: Connection, ids: Sequence[str], now: datetime, *, owner: str, lease: timedelta
) -> list[Claim]:
    """Take over dispatched jobs. A second message for the same job finds nothing to take."""
    rows = db.execute(TAKE, {"ids": list(ids), "owner": owner, "until": now + lease})
    return [Claim.of(row) for row in rows]


def keep(
    db: Connection, ids: Collection[str], now: datetime, *, owner: str, lease: timedelta
) -> int:
    """Renew a process's leases on these jobs in one statement; returns their number.

    One of which the process does not know runs out: the answer to its taking was lost.
    """
    return db.execute(
        update(JOB)
        .where(JOB.c.id.in_(ids), JOB.c.lease_owner == owner)
        .values(lease_until=now + lease)
    ).rowcount


def give_back(db: Connection, claim: Claim, due_at: datetime) -> bool:
    """Return a job on which nothing was begun; its state stays."""
    return _release(db, and_(JOB.c.id == claim.id, JOB.c.fence == claim.fence), due_at) == 1


def call_back(db: Connection, claim: Claim, due_at: datetime) -> bool:
    """Make a job due that its last owner gave back for later, unless anybody took it since."""
    parked = and_(JOB.c.state == JobState.QUEUED, JOB.c.due_at > due_at)
    done = db.execute(
        update(JOB)
        .where(JOB.c.id == claim.id, JOB.c.fence == claim.fence, parked)
        .values(due_at=due_at)
    )
    return done.rowcount == 1


def hand_on(db: Connection, claim: Claim, now: datetime) -> bool:
    """Return a job whose last owner died when it had begun to store; counted like other deaths."""
    mine = and_(JOB.c.id == claim.id, JOB.c.fence == claim.fence)
    return _release(db, mine, now + AFTER_DEATH, crashes=JOB.c.crashes + 1) == 1


def abandon(db: Connection, claim: Claim, now: datetime) -> bool:
    """End a lease at once, for the rescuer: how far the job came is not known here any more."""
    done = db.execute(
        update(JOB)
        .where(JOB.c.id == claim.id, JOB.c.fence == claim.fence, JOB.c.lease_owner.is_not(None))
        .values(lease_owner=ABANDONED, lease_until=now)
    )
    return done.rowcount == 1


def unclaim(db: Connection, ids: Sequence[str], now: datetime) -> int:
    """Make jobs due again that Celery did not take."""
    return _release(db, and_(JOB.c.id.in_(ids), JOB.c.lease_owner == DISPATCHED), now)


def unclaim_all(db: Connection, now: datetime) -> int:
    """Make all jobs due again that were sent when there is no worker; returns their number.

    A worker that was killed may have had their messages. Where one is still on its way, whoever
    comes first takes the job, and the other finds nothing to take.
    """
    return _release(db, JOB.c.lease_owner == DISPATCHED, now)


def _release(db: Connection, which: ColumnElement[bool], due_at: datetime, **changes: Any) -> int:
    return db.execute(
        update(JOB)
        .where(which, JOB.c.lease_owner.is_not(None))
        .values(lease_owner=None, lease_until=None, due_at=due_at, **changes)
    ).rowcount


def rescue(
    db: Connection,
    now: datetime,
    *,
    dead: Sequence[str] = (),
    is_patient: bool = False,
    poll_gap: timedelta = timedelta(0),
    limit: int = 500,
) -> int:
    """Make jobs due whose lease ran out, or whose owner is known to be dead; fence the owner off.

    With patience a lease that ran out proves nothing if a worker could have renewed it.
    The state stays: the next owner sees in it what its predecessor had begun, and recovers that.
    A worker that polled may have asked just now, so its heir asks no sooner than `poll_gap` later;
    one that stored may have died of the answer, so its heir waits for `AFTER_DEATH`.
    """
    lost = JOB.c.lease_until < now
    if is_patient:
        lost = and_(lost, JOB.c.lease_owner.in_([DISPATCHED, ABANDONED]))
    chosen = (
        select(JOB.c.id, JOB.c.lease_owner, *CLAIM_COLUMNS[1:])
        .where(JOB.c.lease_until.is_not(None), or_(lost, JOB.c.lease_owner.in_(dead)))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = db.execute(chosen).all()
    if not rows:
        return 0
    time = JOB.c.due_at.type
    db.execute(
        update(JOB)
        .where(JOB.c.id.in_([row.id for row in rows]))
        .values(
            due_at=case(
                (POLLED, literal(now + poll_gap, time)),
                (STORED, literal(now + AFTER_DEATH, time)),
                else_=literal(now, time),
            ),
            lease_owner=None,
            lease_until=None,
            fence=JOB.c.fence + 1,
            crashes=JOB.c.crashes + case((or_(POLLED, STORED), 1), else_=0),
        )
    )
    for row in rows:
        if row.lease_owner != DISPATCHED:
            claim = Claim.of(row)
            write_event(db, claim, claim.state, now, verb="rescued", note=row.lease_owner)
    return len(rows)


def owners(db: Connection) -> list[str]:
    """Everybody who holds a lease now, dispatched jobs left out."""
    held = select(JOB.c.lease_owner).where(
        JOB.c.lease_until.is_not(None), JOB.c.lease_owner != DISPATCHED
    )
    return list(db.execute(held.distinct()).scalars())


def load(db: Connection) -> Load:
    """How much is under way.

    A poll that a worker took is not told to wait: it may have its answer, and read it for minutes.
    One that waits for its permit is known to the limiter.
    """
    to_poll = and_(JOB.c.state == JobState.POLLING, JOB.c.lease_owner == DISPATCHED)
    not_begun = or_(JOB.c.state == JobState.QUEUED, to_poll)
    row = db.execute(
        select(func.count(), func.coalesce(func.sum(case((not_begun, 1), else_=0)), 0)).where(
            JOB.c.lease_until.is_not(None)
        )
    ).one()
    return Load(waiting=int(row[1]), leased=int(row[0]))


def is_starting(db: Connection) -> bool:
    """Whether any job is on its way to a paid call, or waits for the answer to one."""
    begun = JOB.c.state.in_([JobState.QUEUED, JobState.SUBMITTING])
    found = select(JOB.c.id).where(JOB.c.lease_until.is_not(None), begun).limit(1)
    return db.execute(found).first() is not None
