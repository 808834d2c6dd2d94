"""The endpoints of a project: make, find, change, rotate, disable."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update

from jobs.db import ensure
from jobs.errors import Conflict, NotFound
from jobs.models import new_id, table
from jobs.models_webhooks import Delivery, Endpoint

ENDPOINT = table(Endpoint)
DELIVERY = table(Delivery)

#: What can be told.
TYPES = (
    "job.succeeded",
    "job.filtered",
    "job.failed",
    "job.canceled",
    "job.skipped",
    "job.held",
    "job.uncertain",
    "batch.finished",
)
#: Of a project, those that jobs named included.
MOST_ENDPOINTS = 1000


def create(
    db: Connection,
    project_id: str,
    url: str,
    now: datetime,
    *,
    events: Sequence[str] = (),
    description: str = "",
) -> str:
    """An endpoint for all jobs of the project; raises Conflict for an address that is one."""
    known = find_by_url(db, project_id, url)
    if known is not None and not known.is_named:
        raise Conflict("there is an endpoint with this address already")
    if len(list_endpoints(db, project_id, limit=MOST_ENDPOINTS)) >= MOST_ENDPOINTS:
        raise Conflict(f"a project may have {MOST_ENDPOINTS:,} webhook addresses at the most")
    endpoint_id = str(name_url(db, project_id, url, now).id)
    values = {"events": list(events), "description": description, "is_named": False}
    db.execute(update(ENDPOINT).where(ENDPOINT.c.id == endpoint_id).values(values))
    return endpoint_id


def name_url(db: Connection, project_id: str, url: str, now: datetime) -> Row[Any]:
    """The endpoint of an address that a job or a batch names; made if need be."""
    known = find_by_url(db, project_id, url)
    if known is not None:
        return known
    row = {
        "id": new_id(),
        "project_id": project_id,
        "url": url,
        "description": "",
        "events": [],
        "is_named": True,
        "generation": 0,
        "created_at": now,
    }
    ensure(db, ENDPOINT, row)
    found = find_by_url(db, project_id, url)
    assert found is not None
    return found


def find_by_url(db: Connection, project_id: str, url: str) -> Row[Any] | None:
    """The project's endpoint with this address."""
    wanted = select(ENDPOINT).where(ENDPOINT.c.project_id == project_id, ENDPOINT.c.url == url)
    return db.execute(wanted).one_or_none()


def get(db: Connection, project_id: str, endpoint_id: str) -> Row[Any]:
    """An endpoint; raises NotFound."""
    wanted = select(ENDPOINT).where(
        ENDPOINT.c.project_id == project_id, ENDPOINT.c.id == endpoint_id
    )
    found = db.execute(wanted).one_or_none()
    if found is None:
        raise NotFound("there is no such webhook")
    return found


def list_endpoints(
    db: Connection, project_id: str, *, before: str | None = None, limit: int
) -> Sequence[Row[Any]]:
    """A project's endpoints, the newest first."""
    wanted = select(ENDPOINT).where(ENDPOINT.c.project_id == project_id)
    if before is not None:
        wanted = wanted.where(ENDPOINT.c.id < before)
    return db.execute(wanted.order_by(ENDPOINT.c.id.desc()).limit(limit)).all()


def change(db: Connection, endpoint_id: str, **values: Any) -> None:
    """Change what is named."""
    if values:
        db.execute(update(ENDPOINT).where(ENDPOINT.c.id == endpoint_id).values(values))


def rotate(db: Connection, endpoint: Row[Any], now: datetime) -> int:
    """Begin with the next secret; the last one signs too for a day. Returns the generation."""
    generation = int(endpoint.generation) + 1
    change(db, endpoint.id, generation=generation, rotated_at=now)
    return generation


def enable(db: Connection, endpoint_id: str) -> None:
    """Tell it again of what happens from now on."""
    change(db, endpoint_id, disabled_at=None, disabled_reason=None, failing_since=None)


def disable(db: Connection, endpoint_id: str, reason: str, now: datetime) -> None:
    """Tell it nothing more; what is under way is given up."""
    change(db, endpoint_id, disabled_at=now, disabled_reason=reason)
    db.execute(
        update(DELIVERY)
        .where(DELIVERY.c.endpoint_id == endpoint_id, DELIVERY.c.ended_at.is_(None))
        .values(ended_at=now, last_error=f"the webhook is disabled: {reason}")
    )


def remove(db: Connection, endpoint_id: str) -> None:
    """Forget an endpoint and what was told to it; jobs that name it are told to nobody."""
    db.execute(delete(DELIVERY).where(DELIVERY.c.endpoint_id == endpoint_id))
    db.execute(delete(ENDPOINT).where(ENDPOINT.c.id == endpoint_id))
