"""Which new jobs are started next: the highest priority first, and within it in turns."""

from collections import Counter, defaultdict
from datetime import datetime

from sqlalchemy import Connection

from jobs.queue import brakes, lanes
from jobs.queue.deadlines import fail_late, is_late
from jobs.queue.dispatch import dispatch, lock
from jobs.queue.lanes import Lane
from jobs.queue.shares import Shares
from jobs.queue.turns import Ring, Turn


class Turns:
    """Remembers whose turn it is; a dispatcher has one."""

    def __init__(self) -> None:
        self.projects: defaultdict[int, Turn] = defaultdict(Turn)
        self.batches: defaultdict[tuple[int, str], Turn] = defaultdict(Turn)


class Rota:
    """One claim's turns at one priority."""

    def __init__(self, db: Connection, priority: int, turns: Turns, shares: Shares) -> None:
        self._db = db
        self._priority = priority
        self._turns = turns
        self._shares = shares
        self._fronts = lanes.fronts(db, priority, shares)
        self._projects = Ring(turns.projects[priority], lanes.projects(db, priority, shares))
        self._batches: dict[str, Ring] = {}
        self._dry: set[Lane] = set()
        self._from_front: Counter[Lane] = Counter()

    def plan(self, wanted: int) -> Counter[Lane]:
        """How many each lane starts, of so many."""
        planned: Counter[Lane] = Counter()
        while planned.total() < wanted and (lane := self._next()) is not None:
            planned[lane] += 1
        return planned

    def note(self, lane: Lane, *, unused: int) -> None:
        """The lane had fewer due jobs than planned."""
        self._dry.add(lane)
        self._projects.give_back(lane.project_id, unused)
        if lane.batch_key != lanes.FRONT:
            self._ring_of(lane.project_id).leave_out(lane.batch_key)

    def _next(self) -> Lane | None:
        while (project_id := self._projects.next()) is not None:
            lane = self._front_of(project_id) or self._lane_of(project_id)
            if lane is not None:
                return lane
            self._projects.leave_out(project_id, unused=1)
        return None

    def _front_of(self, project_id: str) -> Lane | None:
        for front in self._fronts.get(project_id, ()):
            lane = front.lane
            if lane in self._dry:
                continue
            if front.room is None or self._from_front[lane] < front.room:
                self._from_front[lane] += 1
                return lane
            # What it had room for is started: its ordinary turn has none either.
            self.note(lane, unused=0)
        return None

    def _lane_of(self, project_id: str) -> Lane | None:
        batch_key = self._ring_of(project_id).next()
        return None if batch_key is None else Lane(self._priority, project_id, batch_key)

    def _ring_of(self, project_id: str) -> Ring:
        if project_id not in self._batches:
            find = lanes.batches(self._db, self._priority, project_id, self._shares)
            turn = self._turns.batches[self._priority, project_id]
            self._batches[project_id] = Ring(turn, find)
        return self._batches[project_id]


def claim_new(
    db: Connection, now: datetime, wanted: int, lease_until: datetime, turns: Turns
) -> list[str]:
    """Claim up to `wanted` due jobs that were not begun; those past their deadline fail instead."""
    claimed: list[str] = []
    if brakes.is_all_paused(db):
        return claimed
    shares = Shares(db)
    priority = lanes.highest_priority(db, None)
    while priority is not None and len(claimed) < wanted:
        rota = Rota(db, priority, turns, shares)
        while planned := rota.plan(wanted - len(claimed)):
            for lane, number in planned.items():
                rows = lock(db, lanes.due_in(lane, now).limit(number))
                late = [row.id for row in rows if is_late(row, now)]
                fail_late(db, late, now)
                ids = [row.id for row in rows if row.id not in late]
                dispatch(db, ids, lease_until)
                claimed += ids
                # A lane of late jobs is left to the next claim: this one must stay short.
                if len(ids) < number:
                    rota.note(lane, unused=number - len(ids))
        priority = lanes.highest_priority(db, priority)
    return claimed
