"""What a key may ask for at the most, and those of its limits that the database keeps.

They are looked at behind the change, in its transaction: what is too much is undone.
"""

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, func, select

from jobs.errors import TooManyJobs, TooManyRows
from jobs.models import Batch, Job, Project, table
from jobs.states import OPEN

BATCH = table(Batch)
JOB = table(Job)
PROJECT = table(Project)

#: An open job is counted with each submission.
MOST_OPEN = 1_000_000


class Limits(BaseModel):
    """None is no limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: In a second; as many may come at once after a pause.
    requests: int | None = Field(default=None, ge=1, le=100_000)
    #: Jobs of the project that have not ended, whoever submitted them, with which the key may
    #: still add some.
    open_jobs: int | None = Field(default=None, ge=1, le=MOST_OPEN)
    #: Rows of one batch.
    batch_rows: int | None = Field(default=None, ge=1, le=10**9)
    #: Of bodies and announced uploads, in a day of UTC.
    bytes: int | None = Field(default=None, ge=1, le=10**15)

    def as_row(self) -> dict[str, int] | None:
        """What stands in the key's row."""
        return self.model_dump(exclude_none=True) or None


NO_LIMITS = Limits()


def check_open(db: Connection, project_id: str, limits: Limits) -> None:
    """Raise TooManyJobs if the project has more open jobs by now than the key may add to."""
    most = limits.open_jobs
    if most is None:
        return
    # Two that submit at once are counted one after the other, each with the other's jobs.
    mine = select(PROJECT.c.id).where(PROJECT.c.id == project_id)
    db.execute(mine.with_for_update(key_share=True))
    is_open = JOB.c.project_id == project_id, JOB.c.state.in_(OPEN)
    some = select(JOB.c.id).where(*is_open).limit(most + 1).subquery()
    if db.execute(select(func.count()).select_from(some)).scalar_one() > most:
        raise TooManyJobs(
            f"the key may submit until the project has {most:,} open jobs; submit more when some "
            "have ended"
        )


def check_rows(db: Connection, batch_id: str, limits: Limits) -> None:
    """Raise TooManyRows if the batch has more by now than the key may put into one."""
    if limits.batch_rows is not None:
        size = db.execute(select(BATCH.c.size).where(BATCH.c.id == batch_id)).scalar_one()
        check_size(size, limits)


def check_size(rows: int, limits: Limits) -> None:
    """Raise TooManyRows if a batch has more than the key may put into one."""
    most = limits.batch_rows
    if most is not None and rows > most:
        raise TooManyRows(f"the key may put {most:,} rows into a batch; make several batches")
