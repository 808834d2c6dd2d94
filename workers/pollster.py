"""Decides when results are asked for, and learns from what the polls find.

All workers learn into one row of the database for each operation, so a plan survives its process.
"""

from collections import defaultdict
from datetime import datetime, timedelta
from threading import Event, Lock

from sqlalchemy import select, update
from sqlalchemy.exc import SQLAlchemyError

from jobs.db import Database, ensure
from jobs.durations import Histogram
from jobs.models import Duration, table
from jobs.polling import PollPlan, plan, price

DURATION = table(Duration)

#: Between two exchanges with the database.
EXCHANGE_SECONDS = 5.0
#: A wait of so many seconds for a permit means that every request is wanted.
SCARCE_WAIT = 0.4
#: How much of the last wait enters the mean of all.
SMOOTHING = 0.1

Interval = tuple[timedelta, timedelta]


class Pollster:
    """One process's plans; safe to share between threads."""

    def __init__(self, database: Database, gap: timedelta) -> None:
        self._database = database
        self._gap = gap
        self._lock = Lock()
        self._histograms: dict[str, Histogram] = {}
        self._learned: defaultdict[str, list[Interval]] = defaultdict(list)
        self._plans: dict[tuple[str, int], PollPlan] = {}
        self._mean_wait = 0.0

    def note_wait(self, seconds: float) -> None:
        """Tell how long the last request waited for its permit."""
        self._mean_wait += SMOOTHING * (max(0.0, seconds) - self._mean_wait)

    def delay(self, operation: str, elapsed: timedelta, polls: int) -> timedelta:
        """How long to wait for the next poll of a result that was accepted `elapsed` ago."""
        # Tenths of scarcity: a plan for each is enough, and few plans are made.
        tenth = min(10, int(10 * self._mean_wait / SCARCE_WAIT))
        with self._lock:
            known = self._plans.get((operation, tenth))
            if known is None:
                histogram = self._histograms.get(operation, Histogram())
                known = plan(histogram, self._gap, price(tenth / 10))
                self._plans[operation, tenth] = known
        return known.delay(elapsed, polls)

    def learn(self, operation: str, earliest: timedelta, latest: timedelta) -> None:
        """A result was not there after `earliest`, and was after `latest`."""
        with self._lock:
            self._learned[operation].append((earliest, latest))

    def run(self, ended: Event) -> None:
        """Exchange with the others until the process ends, and once more then."""
        while not ended.wait(EXCHANGE_SECONDS):
            self.exchange()
        self.exchange()

    def exchange(self) -> None:
        """Give what was learned here to the others, and take what they know."""
        with self._lock:
            learned, self._learned = self._learned, defaultdict(list)
        try:
            self._give(learned, self._database.now())
            self._take()
        except SQLAlchemyError:
            # The database is away; what was learned waits for the next time.
            with self._lock:
                for operation, intervals in learned.items():
                    self._learned[operation] += intervals

    def _give(self, learned: dict[str, list[Interval]], now: datetime) -> None:
        for operation in sorted(learned):
            row = {"operation": operation, "histogram": {}, "updated_at": now}
            chosen = DURATION.c.operation == operation
            with self._database.transaction() as db:
                ensure(db, DURATION, row)
                known = db.execute(
                    select(DURATION.c.histogram).where(chosen).with_for_update()
                ).scalar_one()
                histogram = Histogram.of_row(known)
                for earliest, latest in learned[operation]:
                    histogram = histogram.learn(earliest, latest)
                db.execute(
                    update(DURATION)
                    .where(chosen)
                    .values(histogram=histogram.as_row(), updated_at=now)
                )

    def _take(self) -> None:
        with self._database.reading() as db:
            rows = db.execute(select(DURATION.c.operation, DURATION.c.histogram)).all()
        with self._lock:
            self._histograms = {row.operation: Histogram.of_row(row.histogram) for row in rows}
            self._plans.clear()
