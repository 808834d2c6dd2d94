"""Due rows pass to the dispatcher: from here on they have a lease."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, update

from jobs.models import DISPATCHED
from jobs.queue.moves import JOB


def lock(db: Connection, due: Select[Any]) -> Sequence[Row[Any]]:
    """The rows that nobody else has locked."""
    # SQLite has one writer and needs no row locks: SQLAlchemy leaves the clause out there.
    return db.execute(due.with_for_update(skip_locked=True, of=JOB)).all()


def dispatch(db: Connection, ids: Sequence[str], lease_until: datetime) -> None:
    """Lease locked rows to the dispatcher."""
    if ids:
        db.execute(
            update(JOB)
            .where(JOB.c.id.in_(ids))
            .values(due_at=None, lease_owner=DISPATCHED, lease_until=lease_until)
        )
