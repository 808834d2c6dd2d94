"""How many of its project's jobs are started before a job: counted as far as that is cheap.

Exact for a thousand jobs in its own queue and in each of the others; beyond, the numbers of the
rows tell for a batch, and the times of admission for single jobs. The queues are looked at once
for many jobs: with what is known `lately` a place is found without a question.
"""

from bisect import bisect_left
from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, select, true

from jobs.lately import Lately
from jobs.models import Tally, table
from jobs.queue import lanes
from jobs.queue.lanes import FRONT, Lane, startable
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


@dataclass(frozen=True)
class Extent:
    """How far a long queue goes."""

    first_row: int | None
    first_due: datetime
    last_due: datetime
    jobs: int

    def before(self, job: Row[Any]) -> int:
        """About how many are before a job in it."""
        if job.row is not None and self.first_row is not None:
            return int(job.row - self.first_row)
        span = (self.last_due - self.first_due).total_seconds()
        share = (job.due_at - self.first_due).total_seconds() / span if span else 1.0
        return round(self.jobs * share)


def jobs_ahead(db: Connection, job: Row[Any], lately: Lately) -> int:
    """How many jobs of its project a due, queued job has before it."""
    at = job.priority, job.project_id
    higher = lately.recall(("above", *at), lambda: _above(db, *at))
    fronted = lately.recall(("fronted", *at), lambda: _fronted(db, *at))
    if job.fronted_at is not None:
        later: int = sum(moved_at > job.fronted_at for moved_at in fronted)
        return higher + later
    fronts = lately.recall(("fronts", *at), lambda: _fronts(db, *at))
    before = takewhile(lambda lane: lane.batch_key != job.batch_key, fronts)
    own = _in_own_queue(db, job, lately)
    ahead = higher + len(fronted) + sum(_waiting(db, lane, lately) for lane in before) + own
    keys = {lane.batch_key for lane in fronts}
    return ahead if job.batch_key in keys else ahead + _beside(db, job, own, keys, lately)


def _above(db: Connection, priority: int, project_id: str) -> int:
    ahead = 0
    level = lanes.highest_priority(db, None)
    for _ in range(MOST_LEVELS):
        if level is None or level <= priority:
            break
        ahead += _count(db, _at(level, project_id, true()))
        level = lanes.highest_priority(db, level)
    return ahead


def _fronted(db: Connection, priority: int, project_id: str) -> list[datetime]:
    """When jobs were moved to the front."""
    moved = _at(priority, project_id, JOB.c.fronted_at.is_not(None))
    newest = startable(JOB.c.fronted_at).where(moved).order_by(JOB.c.fronted_at.desc())
    return list(db.execute(newest.limit(MOST_COUNTED)).scalars())


def _fronts(db: Connection, priority: int, project_id: str) -> list[Lane]:
    """The batches that were moved to the front, as they take their turns."""
    fronts = lanes.fronts(db, priority, Shares(db)).get(project_id, [])
    found = [front.lane for front in fronts if front.lane.batch_key != FRONT and front.room != 0]
    return found[:MOST_BATCHES]


def _in_own_queue(db: Connection, job: Row[Any], lately: Lately) -> int:
    lane = Lane(job.priority, job.project_id, job.batch_key)
    first = lately.recall(("first", lane), lambda: _first(db, lane))
    before = bisect_left(first, (job.due_at, job.id))
    if before < MOST_COUNTED:
        return before
    extent = lately.recall(("extent", lane), lambda: _extent(db, lane))
    return max(before, extent.before(job))


def _first(db: Connection, lane: Lane) -> list[tuple[datetime, str]]:
    """A lane's first jobs as they take their turns: their times and ids."""
    turns = startable(JOB.c.due_at, JOB.c.id).where(_in(lane)).order_by(JOB.c.due_at, JOB.c.id)
    return [(due_at, job_id) for due_at, job_id in db.execute(turns.limit(MOST_COUNTED))]


def _extent(db: Connection, lane: Lane) -> Extent:
    """How far a lane goes that is not empty."""
    ends = startable(JOB.c.row, JOB.c.due_at).where(_in(lane))
    first = db.execute(ends.order_by(JOB.c.due_at, JOB.c.id).limit(1)).one()
    last = db.execute(ends.order_by(JOB.c.due_at.desc(), JOB.c.id.desc()).limit(1)).one()
    queued = db.execute(
        select(func.coalesce(func.sum(TALLY.c.jobs), 0)).where(
            TALLY.c.project_id == lane.project_id,
            TALLY.c.batch_id == lane.batch_key,
            TALLY.c.state == JobState.QUEUED,
        )
    ).scalar_one()
    return Extent(first.row, first.due_at, last.due_at, int(queued))


def _beside(db: Connection, job: Row[Any], own: int, fronts: Container[str], lately: Lately) -> int:
    """What other batches start meanwhile: as many for each turn as they weigh."""
    if not own:
        return 0
    at = job.priority, job.project_id
    parties = lately.recall(("parties", *at), lambda: _parties(db, *at))
    weight = next((party.weight for party in parties if party.key == job.batch_key), 1)
    ahead = 0
    for party in parties:
        if party.key != job.batch_key and party.key not in fronts and party.room != 0:
            lane = Lane(job.priority, job.project_id, party.key)
            ahead += min(_waiting(db, lane, lately), own * party.weight // weight)
    return ahead


def _parties(db: Connection, priority: int, project_id: str) -> list[Party]:
    find = lanes.batches(db, priority, project_id, Shares(db))
    parties: list[Party] = []
    party = find(None)
    while party is not None and len(parties) < MOST_BATCHES:
        parties.append(party)
        party = find(party.key)
    return parties


def _waiting(db: Connection, lane: Lane, lately: Lately) -> int:
    return lately.recall(("waiting", lane), lambda: _count(db, _in(lane)))


def _at(priority: int, project_id: str, more: ColumnElement[bool]) -> ColumnElement[bool]:
    return and_(JOB.c.priority == priority, JOB.c.project_id == project_id, more)


def _in(lane: Lane) -> ColumnElement[bool]:
    """What takes its turn there: a job that was moved to the front does not."""
    in_turn = and_(JOB.c.batch_key == lane.batch_key, JOB.c.fronted_at.is_(None))
    return _at(lane.priority, lane.project_id, in_turn)


def _count(db: Connection, which: ColumnElement[bool]) -> int:
    some = startable(JOB.c.id).where(which).limit(MOST_COUNTED).subquery()
    return int(db.execute(select(func.count()).select_from(some)).scalar_one())
