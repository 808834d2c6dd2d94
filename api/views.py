"""Jobs in their public form, looked up for many requests at once."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from api.gathering import Gathering
from jobs import history
from jobs.db import Database
from jobs.forecast import Forecaster
from jobs.public import job_public

#: A job by its project and id.
Name = tuple[str, str]
Shown = dict[str, Any]


class JobViews:
    """Shows jobs with their places in the queue; lives on one event loop."""

    def __init__(self, database: Database, forecaster: Forecaster) -> None:
        self._database = database
        self._forecaster = forecaster
        self._gathering: Gathering[Name, Shown] = Gathering(self._look)

    async def look(self, project_id: str, job_id: str) -> Shown:
        """A job as it is now; raises NotFound."""
        return await self._gathering.join((project_id, job_id))

    def _look(self, names: Sequence[Name]) -> list[Shown | Exception]:
        now = self._database.now()
        with self._database.reading() as db:
            jobs = history.jobs_by_name(db, names)
            outputs = history.outputs_of(db, [job.id for job in jobs.values()])
            shown = {
                name: job_public(job, outputs.get(job.id, []), self._forecaster.job(db, job, now))
                for name, job in jobs.items()
            }
        return [shown.get(name) or history.no_job(name[1]) for name in names]


def show_job(db: Connection, project_id: str, job_id: str) -> Shown:
    """A job with its outputs; raises NotFound."""
    job = history.get_job(db, project_id, job_id)
    return job_public(job, history.outputs_of(db, [job_id]).get(job_id, []))
