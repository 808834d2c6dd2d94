"""Pause and resume: of everything, a project, or a batch. A credential's are in `credentials`.

Paused means that nothing new is sent and paid; what was paid is still polled and stored.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    Table,
    bindparam,
    delete,
    func,
    literal,
    select,
    union_all,
    update,
)

from jobs.db import ensure
from jobs.models import Credential, table
from jobs.models_brakes import Brake
from jobs.queue.deadlines import is_late
from jobs.queue.moves import BATCH, PROJECT, Claim

BRAKE = table(Brake)
CREDENTIAL = table(Credential)
ALL = "all"


def _paused(source: Table) -> Select[Any]:
    """Which are paused, of those whose ids are given by the table's name."""
    ids: Any = bindparam(source.name, expanding=True)
    return select(literal(source.name).label("kind"), source.c.id).where(
        source.c.id.in_(ids), source.c.paused_at.is_not(None)
    )


#: Built once, as it is asked before every paid call.
BRAKES_ON = union_all(
    select(literal(ALL).label("kind"), BRAKE.c.id), _paused(PROJECT), _paused(BATCH)
)


def pause_all(db: Connection, now: datetime) -> None:
    """Start nothing, in any project."""
    ensure(db, BRAKE, {"id": ALL, "paused_at": now})


def resume_all(db: Connection) -> None:
    """Go on, where nothing else stands in the way."""
    db.execute(delete(BRAKE).where(BRAKE.c.id == ALL))


def pause_project(db: Connection, project_id: str, now: datetime) -> None:
    """Start nothing of a project; it counts from the first time."""
    ensure(db, PROJECT, {"id": project_id, "created_at": now})
    _set_project(db, project_id, func.coalesce(PROJECT.c.paused_at, now))


def resume_project(db: Connection, project_id: str) -> None:
    """Go on."""
    _set_project(db, project_id, None)


def _set_project(db: Connection, project_id: str, paused_at: Any) -> None:
    db.execute(update(PROJECT).where(PROJECT.c.id == project_id).values(paused_at=paused_at))


def all_paused_at(db: Connection) -> datetime | None:
    """Since when nothing is to be started by anybody; None while it may be."""
    return db.execute(select(BRAKE.c.paused_at).limit(1)).scalar()


def is_all_paused(db: Connection) -> bool:
    """Whether nothing is to be started by anybody."""
    return all_paused_at(db) is not None


def may_begin(db: Connection, claims: Sequence[Claim], now: datetime) -> frozenset[str]:
    """The jobs, of those on their way, that may still be paid: not paused, nor too late by now."""
    punctual = [claim for claim in claims if not is_late(claim, now)]
    projects = {claim.project_id for claim in punctual}
    batches = {claim.batch_id for claim in punctual if claim.batch_id is not None}
    asked = {PROJECT.name: list(projects), BATCH.name: list(batches)}
    found = db.execute(BRAKES_ON, asked).all()
    if any(row.kind == ALL for row in found):
        return frozenset()
    paused = {(row.kind, row.id) for row in found}
    return frozenset(
        claim.id
        for claim in punctual
        if (PROJECT.name, claim.project_id) not in paused
        and (BATCH.name, claim.batch_id) not in paused
    )


def in_the_way(db: Connection, project_id: str, batch: Any = None) -> list[str]:
    """Why nothing is started: all, project, batch, credentials; nothing when it is."""
    found = [ALL] if is_all_paused(db) else []
    if db.execute(_paused(PROJECT), {PROJECT.name: [project_id]}).first() is not None:
        found.append("project")
    if batch is not None and batch.paused_at is not None:
        found.append("batch")
    usable = CREDENTIAL.c.paused_at.is_(None) & CREDENTIAL.c.stopped_at.is_(None)
    known, paying = db.execute(
        select(func.count(), func.count().filter(usable)).select_from(CREDENTIAL)
    ).one()
    if known and not paying:
        found.append("credentials")
    return found
