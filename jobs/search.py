"""Lists of jobs, page by page. A page costs the same among a million jobs as among ten."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, String, cast, func, or_, select

from jobs.models import Batch, Job, table
from jobs.states import JobState

JOB = table(Job)
BATCH = table(Batch)

#: Jobs looked at for one page when no index answers the question.
SCAN = 5000


@dataclass(frozen=True, kw_only=True)
class Question:
    """Which jobs are wanted."""

    state: JobState | None = None
    batch_id: str | None = None
    operation: str | None = None
    #: Part of the prompt or of the metadata, in any case.
    text: str | None = None

    @property
    def needs_scan(self) -> bool:
        """Whether jobs must be looked at one by one."""
        return self.operation is not None or self.text is not None


@dataclass(frozen=True)
class Page:
    """Some jobs; `next_cursor` leads to the next page, and is None after the last."""

    jobs: Sequence[Row[Any]]
    next_cursor: str | None


def find_jobs(
    db: Connection, project_id: str, question: Question, *, cursor: str | None, limit: int
) -> Page:
    """The newest jobs that fit, older than `cursor`.

    Where no index helps, a page ends after `SCAN` jobs, perhaps with none that fit.
    """
    among = candidates(project_id, question, cursor)
    if not question.needs_scan:
        rows = list(db.execute(among.limit(limit + 1)))
        return page_of(rows, limit)
    window = among.limit(SCAN).subquery()
    fits = select(window).where(*conditions(window.c, question)).order_by(window.c.id.desc())
    page = page_of(list(db.execute(fits.limit(limit + 1))), limit)
    if page.next_cursor is not None:
        return page
    seen = db.execute(select(func.count(), func.min(window.c.id)).select_from(window)).one()
    return Page(page.jobs, seen[1] if seen[0] == SCAN else None)


def candidates(project_id: str, question: Question, cursor: str | None) -> Select[Any]:
    """The project's jobs that fit as far as an index tells, the newest first."""
    wanted = select(JOB)
    if question.batch_id is None:
        wanted = wanted.where(JOB.c.project_id == project_id)
    else:
        # Asked of the batch, so that no index of the project's jobs looks tempting.
        owned = select(BATCH.c.id).where(
            BATCH.c.id == question.batch_id, BATCH.c.project_id == project_id
        )
        wanted = wanted.where(JOB.c.batch_id == question.batch_id, owned.exists())
    if question.state is not None:
        wanted = wanted.where(JOB.c.state == question.state)
    if cursor is not None:
        wanted = wanted.where(JOB.c.id < cursor)
    return wanted.order_by(JOB.c.id.desc())


def conditions(column: Any, question: Question) -> list[ColumnElement[bool]]:
    """What has to be looked at."""
    found: list[ColumnElement[bool]] = []
    if question.operation is not None:
        found.append(column.operation == question.operation)
    if question.text is not None:
        prompt = column.params["prompt"].as_string()
        # Where a `request` has it.
        field = column.params[("fields", "prompt")].as_string()
        labels = cast(column.labels, String)
        places = (prompt, field, labels)
        found.append(or_(*(p.icontains(question.text, autoescape=True) for p in places)))
    return found


def page_of(rows: list[Row[Any]], limit: int) -> Page:
    """A page of one row more than it shows."""
    more = len(rows) > limit
    return Page(rows[:limit], rows[limit - 1].id if more else None)
