"""The events of all jobs in their order, for those who listen."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, func, select

from jobs.models import Event, table

EVENT = table(Event)

#: Events read at once.
PAGE = 1000
#: A number that is missing for so long belongs to a transaction that was undone.
GAP = timedelta(seconds=5)


@dataclass(frozen=True)
class News:
    """What was found behind a place in the feed."""

    #: Everything, for those who only want to know that a job changed.
    changed: list[Row[Any]]
    #: What can be told in order by now.
    told: list[Row[Any]]
    #: The new place.
    cursor: int


def last_event(db: Connection) -> int:
    """The place behind the newest event."""
    return int(db.execute(select(func.coalesce(func.max(EVENT.c.id), 0))).scalar_one())


def pass_over(db: Connection, cursor: int) -> int:
    """The place behind all that came after `cursor`, where no number is missing; else `cursor`."""
    behind = select(func.count(), func.max(EVENT.c.id)).where(EVENT.c.id > cursor)
    count, newest = db.execute(behind).one()
    return int(newest) if count and count == newest - cursor else cursor


def read_on(db: Connection, cursor: int, now: datetime) -> News:
    """What came after `cursor`.

    Numbers are given before commits, so a lower one may still appear. Until then, or until it has
    been missing for long, what follows is not told.
    """
    rows = list(
        db.execute(select(EVENT).where(EVENT.c.id > cursor).order_by(EVENT.c.id).limit(PAGE))
    )
    told = []
    for row in rows:
        if row.id != cursor + 1 and row.at > now - GAP:
            break
        told.append(row)
        cursor = row.id
    return News(rows, told, cursor)


def replay(
    db: Connection,
    project_id: str,
    batch_id: str | None = None,
    *,
    after: int,
    until: int,
    limit: int = PAGE,
) -> list[Row[Any]]:
    """A project's, or a batch's, events behind `after`, as far as `until`."""
    wanted = [EVENT.c.project_id == project_id, EVENT.c.id > after, EVENT.c.id <= until]
    if batch_id is not None:
        wanted.append(EVENT.c.batch_id == batch_id)
    return list(db.execute(select(EVENT).where(*wanted).order_by(EVENT.c.id).limit(limit)))
