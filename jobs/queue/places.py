"""How many of its project's jobs are started before a job: counted as far as that is cheap.

Exact for a thousand jobs in its own queue and in each of the others; beyond, the numbers of the
rows tell for a batch, and the times of admission for single jobs.
"""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, or_, select, true

from jobs.models import Tally, table
from jobs.queue import lanes
from jobs.queue.lanes import startable
from jobs.queue.moves import JOB
from jobs.queue.shares import Shares
from jobs.queue.turns import Party
from jobs.states import JobState

TALLY = table(Tally)

#: Rows counted in one queue.
MOST_COUNTED = 1000
#: Priorities above a job's own, and batches beside it, that are looked at.
MOST_LEVELS = 20
MOST_BATCHES = 50


def jobs_ahead(db: Connection, job: Row[Any]) -> int:
    """How many jobs of its project a due, queued job has before it."""
    higher = _above(db, job.priority, job.project_id)
    fronted = _at(job.priority, job.project_id, JOB.c.fronted_at.is_not(None))
    if job.fronted_at is not None:
        later = JOB.c.fronted_at > job.fronted_at
        return higher + _count(db, and_(fronted, later))
    own = _in_own_queue(db, job)
    return higher + _count(db, fronted) + own + _beside(db, job, own)


def _above(db: Connection, priority: int, project_id: str) -> int:
    ahead = 0
    level = lanes.highest_priority(db, None)
    for _ in range(MOST_LEVELS):
        if level is None or level <= priority:
            break
        ahead += _count(db, _at(level, project_id, true()))
        level = lanes.highest_priority(db, level)
    return ahead


def _in_own_queue(db: Connection, job: Row[Any]) -> int:
    lane = _at(job.priority, job.project_id, JOB.c.batch_key == job.batch_key)
    before = or_(JOB.c.due_at < job.due_at, and_(JOB.c.due_at == job.due_at, JOB.c.id < job.id))
    # The first condition is the index's; alone the second would make it read the whole lane.
    counted = _count(db, and_(lane, JOB.c.due_at <= job.due_at, before))
    return counted if counted < MOST_COUNTED else max(counted, _estimate(db, job, lane))


def _estimate(db: Connection, job: Row[Any], lane: ColumnElement[bool]) -> int:
    ends = startable(JOB.c.row, JOB.c.due_at).where(lane)
    first = db.execute(ends.order_by(JOB.c.due_at, JOB.c.id).limit(1)).one()
    if job.row is not None and first.row is not None:
        return int(job.row - first.row)
    last = db.execute(ends.order_by(JOB.c.due_at.desc(), JOB.c.id.desc()).limit(1)).one()
    queued = db.execute(
        select(func.coalesce(func.sum(TALLY.c.jobs), 0)).where(
            TALLY.c.project_id == job.project_id,
            TALLY.c.batch_id == job.batch_key,
            TALLY.c.state == JobState.QUEUED,
        )
    ).scalar_one()
    span = (last.due_at - first.due_at).total_seconds()
    share = (job.due_at - first.due_at).total_seconds() / span if span else 1.0
    return round(int(queued) * share)


def _beside(db: Connection, job: Row[Any], own: int) -> int:
    """What other batches start meanwhile: as many for each turn as they weigh."""
    find = lanes.batches(db, job.priority, job.project_id, Shares(db))
    parties: list[Party] = []
    party = find(None)
    while party is not None and len(parties) < MOST_BATCHES:
        parties.append(party)
        party = find(party.key)
    weight = next((party.weight for party in parties if party.key == job.batch_key), 1)
    ahead = 0
    for party in parties:
        if party.key != job.batch_key and party.room != 0:
            lane = _at(job.priority, job.project_id, JOB.c.batch_key == party.key)
            ahead += min(_count(db, lane), own * party.weight // weight)
    return ahead


def _at(priority: int, project_id: str, more: ColumnElement[bool]) -> ColumnElement[bool]:
    return and_(JOB.c.priority == priority, JOB.c.project_id == project_id, more)


def _count(db: Connection, which: ColumnElement[bool]) -> int:
    some = startable(JOB.c.id).where(which).limit(MOST_COUNTED).subquery()
    return int(db.execute(select(func.count()).select_from(some)).scalar_one())
