"""Jobs that have ended tell those that need them: start, or be skipped.

One look is one transaction. A job that others wait for is marked while it runs, so that its end
shows in a small index: neither the executor nor an idle look pays for needs that nobody has.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, update

from jobs.errors import JobError
from jobs.queue.dispatch import lock
from jobs.queue.many import move_all, release_budgets
from jobs.queue.moves import BATCH, JOB
from jobs.queue.needs import NEED, WAKEUP, blocked
from jobs.states import FINAL, JobState

#: Needs settled in one transaction: others wait for SQLite's writer no longer than that takes.
NEEDS_AT_ONCE = 500

#: What became of a needed job, in the words of the one that is skipped for it.
FATES = {
    JobState.FAILED: "has failed",
    JobState.CANCELED: "was canceled",
    JobState.SKIPPED: "was skipped",
    JobState.FILTERED: "was filtered",
}


@dataclass(frozen=True)
class Look:
    """What one look came to."""

    started: int
    skipped: int
    #: Whether there was anything to look at, and so may be more.
    is_news: bool


def is_called(db: Connection) -> bool:
    """Whether there is anything to look at; reads two small indexes."""
    return bool(
        db.execute(select(WAKEUP.c.id).limit(1)).first() or db.execute(_ended().limit(1)).first()
    )


def look(db: Connection, now: datetime, *, limit: int = NEEDS_AT_ONCE) -> Look:
    """Settle needs of jobs that have ended, and mark those that have not.

    Rows that others have locked are left for the next look, so nobody waits in a circle.
    """
    calls = db.execute(
        select(WAKEUP.c.id, WAKEUP.c.job_id)
        .order_by(WAKEUP.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    ended_ids = list(db.execute(_ended().limit(limit)).scalars())
    needed_ids = {call.job_id for call in calls} | set(ended_ids)
    needed = lock(db, select(JOB.c.id, JOB.c.state).where(JOB.c.id.in_(needed_ids)))
    running = [job.id for job in needed if job.state not in FINAL]
    ended = {job.id: JobState(job.state) for job in needed if job.state in FINAL}
    _mark(db, running, now)
    started, skipped = _settle(db, ended, now, limit)
    over = ended.keys() - _unsettled(db, ended)
    db.execute(update(JOB).where(JOB.c.id.in_(over)).values(awaited_at=None))
    known = {*running, *over}
    read = [call.id for call in calls if call.job_id in known]
    db.execute(delete(WAKEUP).where(WAKEUP.c.id.in_(read)))
    return Look(started, skipped, is_news=bool(needed))


def _ended() -> Any:
    awaited = JOB.c.awaited_at.is_not(None), JOB.c.finished_at.is_not(None)
    # In the order of the index, or SQLite would read all jobs in the order of their ids.
    return select(JOB.c.id).where(*awaited).order_by(JOB.c.awaited_at)


def _mark(db: Connection, job_ids: Sequence[str], now: datetime) -> None:
    chosen = JOB.c.id.in_(job_ids), JOB.c.awaited_at.is_(None)
    db.execute(update(JOB).where(*chosen).values(awaited_at=now))


def _unsettled(db: Connection, needed: Collection[str]) -> set[str]:
    wanted = select(NEED.c.needs_id).where(NEED.c.needs_id.in_(needed), NEED.c.settled_at.is_(None))
    return set(db.execute(wanted.distinct()).scalars())


def _settle(
    db: Connection, ended: Mapping[str, JobState], now: datetime, limit: int
) -> tuple[int, int]:
    """Tell those who need these jobs; how many were started, and how many skipped."""
    of_ended = NEED.c.needs_id.in_(ended), NEED.c.settled_at.is_(None)
    wanted = select(NEED.c.job_id).where(*of_ended).order_by(NEED.c.needs_id, NEED.c.job_id)
    chosen = set(db.execute(wanted.limit(limit)).scalars())
    closed = _closed_batches(db, chosen)
    told = lock(db, select(JOB.c.id, JOB.c.state, JOB.c.batch_id).where(JOB.c.id.in_(chosen)))
    theirs = NEED.c.job_id.in_([job.id for job in told]), *of_ended
    needs = db.execute(select(NEED.c.job_id, NEED.c.needs_id).where(*theirs)).all()
    db.execute(update(NEED).where(*theirs).values(settled_at=now))
    broken = {
        need.job_id: need.needs_id for need in needs if ended[need.needs_id] != JobState.SUCCEEDED
    }
    skipped = _skip(db, broken, ended, now)
    waiting = {job.id: job for job in told if job.state == JobState.WAITING}
    left = blocked(db, list(waiting)) | broken.keys()
    ready = [
        job.id for job in waiting.values() if job.id not in left and job.batch_id not in closed
    ]
    return _start(db, ready, now), skipped


def _closed_batches(db: Connection, job_ids: Collection[str]) -> frozenset[str]:
    """The batches of these jobs that are not started, locked, so that no start comes between."""
    theirs = select(JOB.c.batch_id).where(JOB.c.id.in_(job_ids), JOB.c.batch_id.is_not(None))
    closed: Sequence[Row[Any]] = db.execute(
        select(BATCH.c.id)
        .where(BATCH.c.id.in_(theirs), BATCH.c.loaded_at.is_(None))
        .order_by(BATCH.c.id)
        .with_for_update(read=True)
    ).all()
    return frozenset(row.id for row in closed)


def _start(db: Connection, ids: Sequence[str], now: datetime) -> int:
    due_at = func.coalesce(JOB.c.run_at, now)
    return move_all(db, ids, JobState.WAITING, JobState.QUEUED, now, verb="ready", due_at=due_at)


def _skip(
    db: Connection, broken: Mapping[str, str], ended: Mapping[str, JobState], now: datetime
) -> int:
    """Skip each of these jobs for the one that it needed; whatever else it needs is settled too."""
    mine = NEED.c.job_id.in_(broken), NEED.c.settled_at.is_(None)
    db.execute(update(NEED).where(*mine).values(settled_at=now))
    reserved = select(JOB.c.id).where(JOB.c.id.in_(broken), JOB.c.state == JobState.WAITING)
    release_budgets(db, list(db.execute(reserved).scalars()))
    by_cause = defaultdict(list)
    for job_id, needed in broken.items():
        by_cause[needed].append(job_id)
    return sum(
        _skip_for(db, needed, ended[needed], ids, now) for needed, ids in sorted(by_cause.items())
    )


def _skip_for(
    db: Connection, needed: str, fate: JobState, ids: Sequence[str], now: datetime
) -> int:
    error = JobError(
        code="dependency_failed",
        message=f"It needs job {needed}, which {FATES[fate]}.",
        error_class="user",
        retryable=True,
        charged="no",
    )
    # Beyond its batch's budget it is held, and would wait once there is room.
    return sum(
        move_all(
            db,
            ids,
            origin,
            JobState.SKIPPED,
            now,
            verb="skipped",
            note=f"{error.code}: {error.message}",
            error=error.as_row(),
        )
        for origin in (JobState.WAITING, JobState.HELD)
    )
