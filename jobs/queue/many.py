"""One verb for many jobs at once: the same guarded change and an event for each, in two statements.

The caller has locked the rows; where it changes a batch's row too, it locks that first and leaves
out jobs that others have locked, so that nobody waits in a circle.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, literal, select, update

from jobs.queue.moves import BATCH, EVENT, JOB
from jobs.states import FINAL, JobState, can_move


def move_all(
    db: Connection,
    ids: Sequence[str],
    origin: JobState,
    target: JobState,
    now: datetime,
    *,
    verb: str,
    note: str | None = None,
    **changes: Any,
) -> int:
    """Bring those of the jobs that are in `origin` to `target`; returns their number."""
    if not ids:
        return 0
    if not can_move(origin, target):
        raise ValueError(f"{verb}: no way from {origin} to {target}")
    values: dict[str, Any] = {"state": target, "lease_owner": None, "lease_until": None, **changes}
    if target in FINAL:
        values |= {"finished_at": now, "due_at": None, "held_for": None}
    chosen = (JOB.c.id.in_(ids), JOB.c.state == origin)
    _write_events(db, chosen, origin, target, now, verb=verb, note=note)
    return db.execute(update(JOB).where(*chosen).values(values)).rowcount


def _write_events(
    db: Connection,
    chosen: Any,
    origin: JobState,
    target: JobState,
    now: datetime,
    *,
    verb: str,
    note: str | None,
) -> None:
    columns = {
        "job_id": JOB.c.id,
        "project_id": JOB.c.project_id,
        "batch_id": JOB.c.batch_id,
        "at": literal(now, EVENT.c.at.type),
        "verb": literal(verb),
        "origin": literal(str(origin)),
        "target": literal(str(target)),
        "charged_milli": literal(0),
        "note": literal(note, EVENT.c.note.type),
        "tallied": literal(False),
    }
    source = select(*columns.values()).where(*chosen).order_by(JOB.c.id)
    db.execute(insert(EVENT).from_select(list(columns), source))


def release_budgets(db: Connection, ids: Sequence[str]) -> None:
    """Give back what was set aside for one call of each of these jobs."""
    if not ids:
        return
    freed = db.execute(
        select(JOB.c.batch_id, func.sum(JOB.c.estimated_milli).label("milli"))
        .where(JOB.c.id.in_(ids), JOB.c.batch_id.is_not(None))
        .group_by(JOB.c.batch_id)
        .order_by(JOB.c.batch_id)
    ).all()
    for row in freed:
        db.execute(
            update(BATCH)
            .where(BATCH.c.id == row.batch_id, BATCH.c.budget_milli.is_not(None))
            .values(reserved_milli=BATCH.c.reserved_milli - int(row.milli))
        )
