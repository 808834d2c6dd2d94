"""How fast projects and batches go: the paid calls that they began in the last minute."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from jobs.models import Attempt, Job, table

ATTEMPT = table(Attempt)
JOB = table(Job)

WINDOW = timedelta(minutes=1)
#: So many of the newest calls are looked at: at a high rate they cover less than the window.
MOST_CALLS = 3000
#: A shorter time says nothing of a rate.
LEAST_SECONDS = 1.0


@dataclass(frozen=True)
class Pace:
    """Calls begun since a moment."""

    calls: int
    since: datetime

    def per_second(self, now: datetime) -> float:
        """The rate until now."""
        return self.calls / max(LEAST_SECONDS, (now - self.since).total_seconds())


@dataclass(frozen=True)
class Paces:
    """Everybody's paces at one moment, by project and batch; a project's single jobs under ''."""

    by_batch: Mapping[tuple[str, str], Pace]

    def of(self, project_id: str, batch_id: str | None = None) -> Pace | None:
        """A batch's pace, or a whole project's; None where nothing was begun lately."""
        found = [
            pace
            for (project, batch), pace in self.by_batch.items()
            if project == project_id and batch_id in {None, batch}
        ]
        if not found:
            return None
        return Pace(sum(pace.calls for pace in found), min(pace.since for pace in found))


def measure(db: Connection, now: datetime) -> Paces:
    """Look at the calls of the last minute."""
    newest = (
        select(ATTEMPT.c.job_id, ATTEMPT.c.begun_at)
        .where(ATTEMPT.c.begun_at > now - WINDOW)
        .order_by(ATTEMPT.c.begun_at.desc())
        .limit(MOST_CALLS)
        .subquery()
    )
    rows = db.execute(
        select(JOB.c.project_id, JOB.c.batch_key, func.count(), func.min(newest.c.begun_at))
        .join(newest, newest.c.job_id == JOB.c.id)
        .group_by(JOB.c.project_id, JOB.c.batch_key)
    )
    return Paces({(project, batch): Pace(int(n), since) for project, batch, n, since in rows})
