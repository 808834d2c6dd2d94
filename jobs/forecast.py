"""When a job or a batch will have ended, by the measured pace and its place in the queue."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, func, select

from jobs.catalog.loader import operation as find_operation
from jobs.durations import Histogram
from jobs.lately import Lately
from jobs.models import Credential, Duration, table
from jobs.paces import measure
from jobs.queue import brakes, lanes
from jobs.queue.moves import BATCH, JOB
from jobs.queue.places import jobs_ahead
from jobs.queue.shares import Shares
from jobs.settings import Settings
from jobs.states import JobState
from jobs.tallies import Counts

DURATION = table(Duration)
CREDENTIAL = table(Credential)

#: Requests of an asynchronous job: its create, and two polls in the mean.
ASYNC_REQUESTS = 3
#: Until the last answers are there, in seconds, where nothing was learned yet.
SYNC_TAIL, ASYNC_TAIL = 5.0, 45.0
#: A result is found by the next poll, half of the least gap after it is ready in the mean.
POLL_LATENESS = 5.0
#: For how long what was measured or looked up for one forecast serves others, in seconds.
FRESH_SECONDS = 1.0
#: A job that is put off for so long, by the limiter or after a refusal, keeps its place.
SOON = timedelta(minutes=1)
#: Projects among which the rate is shared, as far as they are counted.
MOST_PROJECTS = 50


@dataclass(frozen=True)
class JobForecast:
    """`position` is 1 for the project's next job; `eta` when the job will have ended."""

    position: int | None = None
    eta: datetime | None = None


@dataclass(frozen=True)
class BatchForecast:
    """`rate` is in jobs begun a second; `left` how long it will take; None while nobody knows.

    Of what is held nobody knows: while some is, `left` is told of the rest, and there is no `eta`.
    """

    rate: float | None = None
    left: timedelta | None = None
    eta: datetime | None = None
    #: What keeps its jobs from being started: all, project, batch, credentials.
    paused_by: tuple[str, ...] = ()


class Forecaster:
    """Foretells; it looks at the queue once a second, however often it is asked."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lately = Lately(FRESH_SECONDS)

    def forget(self) -> None:
        """Look at the queue afresh: somebody who will ask again has just changed its order."""
        self._lately.forget()

    def job(self, db: Connection, job: Row[Any], now: datetime) -> JobForecast:
        """A job's place and end, while it is queued or polled."""
        if job.state == JobState.POLLING:
            left = longest_of(self._learned(db, job.operation), now - job.accepted_at, 1)
            return JobForecast(eta=now + timedelta(seconds=left))
        if job.state != JobState.QUEUED:
            return JobForecast()
        work = timedelta(seconds=self._usual_seconds(db, job.operation))
        if job.due_at is None:
            return JobForecast(0, now + work)
        if job.due_at > now + SOON:
            return JobForecast(None, job.due_at + work)
        position = jobs_ahead(db, job, self._lately) + 1
        if self._is_stopped(db, job):
            return JobForecast(position)
        rate = self._rate(db, now, job.project_id) or self._share(db, job)
        return JobForecast(position, now + timedelta(seconds=position / rate) + work)

    def batch(
        self, db: Connection, batch: Row[Any], counts: Counts, now: datetime
    ) -> BatchForecast:
        """How fast a batch goes, and when what is not held will have ended."""
        paused_by = tuple(brakes.in_the_way(db, batch.project_id, batch))
        rate = self._rate(db, now, batch.project_id, batch.id)
        to_start = counts.of(JobState.QUEUED, JobState.WAITING)
        left = None
        if not to_start:
            left = in_flight_seconds(db, batch.id, counts, now)
        elif rate and not paused_by:
            left = to_start / rate + in_flight_seconds(db, batch.id, counts, now)
        if left is None or not counts.total:
            return BatchForecast(rate, paused_by=paused_by)
        span = timedelta(seconds=round(left))
        eta = None if counts.of(JobState.HELD) else now + span
        return BatchForecast(rate, span, eta, paused_by)

    def _is_stopped(self, db: Connection, job: Row[Any]) -> bool:
        def look() -> bool:
            batch = _batch_of(db, job.batch_id)
            return bool(brakes.in_the_way(db, job.project_id, batch))

        return self._lately.recall(("stopped", job.project_id, job.batch_id), look)

    def _usual_seconds(self, db: Connection, operation: str) -> float:
        """How long one such job takes from its paid call on."""
        if find_operation(operation).mode != "async":
            return SYNC_TAIL
        return longest_of(self._learned(db, operation), timedelta(0), 1)

    def _learned(self, db: Connection, operation: str) -> Histogram:
        return self._lately.recall(("learned", operation), lambda: learned(db, operation))

    def _rate(
        self, db: Connection, now: datetime, project_id: str, batch_id: str | None = None
    ) -> float | None:
        paces = self._lately.recall("paces", lambda: measure(db, now))
        pace = paces.of(project_id, batch_id)
        return None if pace is None else round(pace.per_second(now), 3)

    def _share(self, db: Connection, job: Row[Any]) -> float:
        """What a project may expect that has begun nothing yet: the same as each of the others."""
        parties = self._lately.recall(("parties", job.priority), lambda: _parties(db, job.priority))
        keys = self._lately.recall("keys", lambda: _usable_keys(db))
        is_async = find_operation(job.operation).mode == "async"
        requests = ASYNC_REQUESTS if is_async else 1
        return self._settings.darkroom_rate.per_second * keys / parties / requests


def _usable_keys(db: Connection) -> int:
    usable = CREDENTIAL.c.stopped_at.is_(None) & CREDENTIAL.c.paused_at.is_(None)
    keys = db.execute(select(func.count()).select_from(CREDENTIAL).where(usable)).scalar_one()
    return max(1, int(keys))


def _parties(db: Connection, priority: int) -> int:
    """How many projects share the rate."""
    find = lanes.projects(db, priority, Shares(db))
    projects, party = 0, find(None)
    while party is not None and projects < MOST_PROJECTS:
        projects, party = projects + 1, find(party.key)
    return max(1, projects)


def in_flight_seconds(db: Connection, batch_id: str, counts: Counts, now: datetime) -> float:
    """How long until the last of the batch's jobs that are under way has ended."""
    left = SYNC_TAIL if counts.of(JobState.SUBMITTING, JobState.STORING) else 0.0
    if not counts.of(JobState.POLLING):
        return left
    polled = db.execute(
        select(JOB.c.operation, func.count(), func.max(JOB.c.accepted_at))
        .where(JOB.c.batch_id == batch_id, JOB.c.state == JobState.POLLING)
        .group_by(JOB.c.operation)
    )
    for operation, jobs, newest in polled.all():
        left = max(left, longest_of(learned(db, operation), now - newest, int(jobs)))
    return left


def longest_of(histogram: Histogram, elapsed: timedelta, jobs: int) -> float:
    """Seconds until the last of so many results is fetched, the newest accepted so long ago."""
    so_far = elapsed.total_seconds()
    survival = histogram.survival() if histogram.total else []
    begun = survival[int(so_far)] if 0 <= so_far < len(survival) else 0.0
    if not begun:
        return max(ASYNC_TAIL - so_far, POLL_LATENESS) if not survival else POLL_LATENESS
    # Of n results the slowest is expected where one in n + 1 is still to come.
    last = next(i for i, share in enumerate(survival) if share <= begun / (jobs + 1))
    return max(0.0, last - so_far) + POLL_LATENESS


def learned(db: Connection, operation: str) -> Histogram:
    """What the polls have shown of an operation's durations."""
    found = select(DURATION.c.histogram).where(DURATION.c.operation == operation)
    row = db.execute(found).scalar_one_or_none()
    return Histogram() if row is None else Histogram.of_row(row)


def _batch_of(db: Connection, batch_id: str | None) -> Any:
    return db.execute(select(BATCH).where(BATCH.c.id == batch_id)).one_or_none()
