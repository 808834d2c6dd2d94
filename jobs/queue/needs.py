"""What a job needs: others that must have succeeded before it may start.

A need stays in its table for good; it is settled once the needed job has ended and the other one
was told. `waking` tells it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from jobs.errors import Conflict
from jobs.models import table
from jobs.models_flows import Need, Wakeup
from jobs.queue.moves import JOB
from jobs.references import OutputReference, parse
from jobs.states import FINAL, JobState

NEED = table(Need)
WAKEUP = table(Wakeup)


def jobs_in(inputs: Mapping[str, str]) -> list[str]:
    """The jobs whose outputs these inputs are."""
    found = (parse(reference) for reference in inputs.values())
    return [reference.job_id for reference in found if isinstance(reference, OutputReference)]


def succeeded_of(db: Connection, job_ids: Collection[str]) -> frozenset[str]:
    """Those of the jobs that have succeeded, and so will for ever have."""
    if not job_ids:
        return frozenset()
    wanted = select(JOB.c.id).where(JOB.c.id.in_(job_ids), JOB.c.state == JobState.SUCCEEDED)
    return frozenset(db.execute(wanted).scalars())


def write_needs(
    db: Connection,
    needs: Mapping[str, Iterable[str]],
    succeeded: Collection[str],
    now: datetime,
) -> None:
    """Keep what new jobs need, and have somebody look whether it has ended meanwhile.

    The waker sees these rows only once they are committed. Whatever a needed job does until then,
    it looks at its state after that, and so misses no end.
    """
    rows = [
        {"job_id": job_id, "needs_id": needed, "settled_at": now if needed in succeeded else None}
        for job_id, all_needed in needs.items()
        for needed in all_needed
    ]
    if rows:
        db.execute(insert(NEED), rows)
        unmet = {needed for all_needed in needs.values() for needed in all_needed}
        ask_to_look(db, unmet.difference(succeeded))


def ask_to_look(db: Connection, job_ids: Collection[str]) -> None:
    """Have the waker look at these jobs."""
    if job_ids:
        db.execute(insert(WAKEUP), [{"job_id": job_id} for job_id in sorted(job_ids)])


def blocked(db: Connection, job_ids: Sequence[str]) -> frozenset[str]:
    """Those of the jobs that still wait for others."""
    waiting = select(NEED.c.job_id).where(NEED.c.job_id.in_(job_ids), NEED.c.settled_at.is_(None))
    return frozenset(db.execute(waiting).scalars())


def need_again(db: Connection, job_id: str) -> bool:
    """Let a job that is opened again wait for what has not succeeded; tells whether it must.

    Raises Conflict if one of those has ended: that one is to be retried first.
    """
    unmet = db.execute(
        select(JOB.c.id, JOB.c.state)
        .join(NEED, NEED.c.needs_id == JOB.c.id)
        .where(NEED.c.job_id == job_id, JOB.c.state != JobState.SUCCEEDED)
        .order_by(JOB.c.id)
    ).all()
    for needed in unmet:
        if needed.state in FINAL:
            raise Conflict(f"it needs job {needed.id}, which is {needed.state}: retry that first")
    ids = [needed.id for needed in unmet]
    if ids:
        mine = NEED.c.job_id == job_id, NEED.c.needs_id.in_(ids)
        db.execute(update(NEED).where(*mine).values(settled_at=None))
        ask_to_look(db, ids)
    return bool(ids)


def needs_of(db: Connection, job_ids: Sequence[str]) -> dict[str, list[str]]:
    """What each of the jobs needs, in the order of the ids."""
    found: dict[str, list[str]] = {}
    wanted = select(NEED.c.job_id, NEED.c.needs_id).where(NEED.c.job_id.in_(job_ids))
    for row in db.execute(wanted.order_by(NEED.c.job_id, NEED.c.needs_id)):
        found.setdefault(row.job_id, []).append(row.needs_id)
    return found
