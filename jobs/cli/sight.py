"""How a batch does, as a look at it shows, and whether it can go on by itself."""

from dataclasses import dataclass, replace
from datetime import timedelta

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import SQLAlchemyError

from jobs import batches, tallies
from jobs.cli.home import Home
from jobs.cli.progress import SHOWN, standing
from jobs.forecast import Forecaster
from jobs.history import list_jobs
from jobs.identity import is_dead
from jobs.models import DEFAULT_PROJECT, Job, table
from jobs.queue import desk
from jobs.states import JobState
from jobs.tallies import Counts

JOB = table(Job)

#: Held jobs that are looked at for their reasons.
HELD_SHOWN = 200


@dataclass(frozen=True)
class Sight:
    """What a look at a batch shows."""

    counts: Counts
    #: What its held jobs are held for.
    held_for: frozenset[str] = frozenset()
    #: What a person should know besides.
    note: str = ""
    #: How long it will take.
    left: timedelta | None = None

    def with_note(self, note: str) -> "Sight":
        """The same with one more note."""
        return replace(self, note="; ".join(filter(None, (self.note, note))))

    def is_settled(self, total: int) -> bool:
        """Whether every job has ended, or waits for a person."""
        ended = self.counts.finished + self.counts.of(JobState.HELD)
        return self.counts.total >= total and ended >= total and "funds" not in self.held_for


def look(home: Home, batch_id: str, before: Sight, forecaster: Forecaster) -> Sight:
    """See how the batch does now; what was seen before while the database is away."""
    try:
        with home.database.reading() as db:
            counts = tallies.counts(db, batch_id=batch_id)
            held_for = held_reasons(db, batch_id) if counts.of(JobState.HELD) else frozenset()
            batch = batches.get_batch(db, home.project_id, batch_id)
            forecast = forecaster.batch(db, batch, counts, home.database.now())
    except SQLAlchemyError as error:
        return replace(before, note=f"the database does not answer ({type(error).__name__})")
    sight = Sight(counts, held_for, standing(forecast.paused_by), forecast.left)
    return sight.with_note(f"held for {', '.join(sorted(held_for))}" if held_for else "")


def left_behind(db: Connection, name: str) -> int:
    """How many calls of the batch of this name were under way in workers that are dead by now."""
    batch = batches.find_batch(db, DEFAULT_PROJECT, name)
    if batch is None:
        return 0
    under_way = db.execute(
        select(JOB.c.lease_owner, func.count())
        .where(JOB.c.batch_id == batch.id, JOB.c.state.in_(SHOWN["in flight"]))
        .group_by(JOB.c.lease_owner)
    )
    return sum(int(calls) for owner, calls in under_way if owner is not None and is_dead(owner))


def goes_on(home: Home, batch_id: str, sight: Sight) -> bool:
    """Whether some of what was held goes on: jobs that were not charged left room in the budget.

    The beat would see that too, but not before a run that looks more often has ended.
    """
    if not sight.counts.of(JobState.HELD):
        return False
    try:
        with home.database.transaction() as db:
            released = desk.release_budgeted(db, home.database.now())
            # The beat may have been faster.
            return released > 0 or tallies.counts(db, batch_id=batch_id) != sight.counts
    except SQLAlchemyError:
        return True


def held_reasons(db: Connection, batch_id: str) -> frozenset[str]:
    """What the batch's held jobs are held for, as far as a page shows."""
    jobs = list_jobs(
        db, DEFAULT_PROJECT, states=[JobState.HELD], batch_id=batch_id, limit=HELD_SHOWN
    )
    return frozenset(job.held_for for job in jobs)
