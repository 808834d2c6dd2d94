"""Who signs for whom: each endpoint for itself, the project for addresses that its jobs name."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from jobs.db import ensure
from jobs.errors import Conflict
from jobs.models import table
from jobs.models_webhooks import WebhookSecret
from jobs.webhooks.endpoints import ENDPOINT
from jobs.webhooks.secrets import Seal, Signer

PROJECT_SECRET = table(WebhookSecret)


def seal_of(db: Connection, endpoint: Row[Any]) -> Seal:
    """What signs the messages to an endpoint."""
    if endpoint.is_named:
        return project_seal(db, endpoint.project_id)
    return Seal(endpoint.id, endpoint.generation, endpoint.rotated_at, endpoint.mark)


def project_seal(db: Connection, project_id: str) -> Seal:
    """What signs the messages to addresses that jobs and batches name."""
    wanted = select(PROJECT_SECRET).where(PROJECT_SECRET.c.project_id == project_id)
    found = db.execute(wanted).one_or_none()
    owner = f"project {project_id}"
    if found is None:
        return Seal(owner)
    return Seal(owner, found.generation, found.rotated_at, found.mark)


def show_project(db: Connection, project_id: str, signer: Signer) -> Seal:
    """The same, from now on bound to the signer that shows its secret; raises Conflict."""
    ensure(db, PROJECT_SECRET, {"project_id": project_id, "generation": 0})
    mine = PROJECT_SECRET.c.project_id == project_id
    marked = {"mark": func.coalesce(PROJECT_SECRET.c.mark, signer.mark)}
    db.execute(update(PROJECT_SECRET).where(mine).values(marked))
    seal = project_seal(db, project_id)
    if not signer.knows(seal):
        raise Conflict(
            "the secret was made with another DARKROOM_SECRET_KEY, or on a machine that shares no "
            "home with this one: set the same key everywhere, or rotate the secret"
        )
    return seal


def rotate_project(db: Connection, project_id: str, signer: Signer, now: datetime) -> Seal:
    """Begin with the project's next secret; the last one signs too for a day."""
    ensure(db, PROJECT_SECRET, {"project_id": project_id, "generation": 0})
    _begin_next(db, PROJECT_SECRET, PROJECT_SECRET.c.project_id == project_id, signer, now)
    return project_seal(db, project_id)


def rotate(db: Connection, endpoint: Row[Any], signer: Signer, now: datetime) -> None:
    """The same for an endpoint's own secret; raises Conflict if it has none."""
    if endpoint.is_named:
        raise Conflict("messages to this address are signed with the project's secret: rotate that")
    _begin_next(db, ENDPOINT, ENDPOINT.c.id == endpoint.id, signer, now)


def _begin_next(db: Connection, source: Any, which: Any, signer: Signer, now: datetime) -> None:
    values = {"generation": source.c.generation + 1, "rotated_at": now, "mark": signer.mark}
    db.execute(update(source).where(which).values(values))
