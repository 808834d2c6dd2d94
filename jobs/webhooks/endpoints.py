"""The endpoints of a project: make, find, change, disable, forget."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection, Row, delete, func, select, update

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
#: Of a project; each of its events is a message to every one of them.
MOST_ENDPOINTS = 100
BY_HAND = "by hand"


def create(
    db: Connection,
    project_id: str,
    url: str,
    now: datetime,
    *,
    mark: str,
    events: Sequence[str] = (),
    description: str = "",
) -> str:
    """An endpoint for all jobs of the project; raises Conflict for an address that is one.

    `mark` is that of the signer that will show its secret.
    """
    known = find_by_url(db, project_id, url)
    if known is not None and not known.is_named:
        raise Conflict("there is an endpoint with this address already")
    if count_of(db, project_id) >= MOST_ENDPOINTS:
        raise Conflict(f"a project may have {MOST_ENDPOINTS} webhooks at the most")
    endpoint_id = str(name_url(db, project_id, url, now).id)
    about = {"events": list(events), "description": description}
    change(db, endpoint_id, **about, is_named=False, mark=mark)
    enable(db, endpoint_id)
    return endpoint_id


def count_of(db: Connection, project_id: str) -> int:
    """How many endpoints hear of all jobs of the project."""
    wanted = select(func.count()).where(ENDPOINT.c.project_id == project_id, ~ENDPOINT.c.is_named)
    return int(db.execute(wanted).scalar_one())


def name_url(db: Connection, project_id: str, url: str, now: datetime) -> Row[Any]:
    """The endpoint of an address that a job or a batch names; made if need be."""
    known = find_by_url(db, project_id, url)
    if known is not None:
        return known
    row = {
        "id": new_id(),
        "project_id": project_id,
        "url": url,
        "host": urlsplit(url).netloc,
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
    db: Connection,
    project_id: str,
    *,
    is_named: bool | None = None,
    before: str | None = None,
    limit: int,
) -> Sequence[Row[Any]]:
    """A project's endpoints, the newest first; all of them, or by whether only jobs name them."""
    wanted = select(ENDPOINT).where(ENDPOINT.c.project_id == project_id)
    if is_named is not None:
        wanted = wanted.where(ENDPOINT.c.is_named == is_named)
    if before is not None:
        wanted = wanted.where(ENDPOINT.c.id < before)
    return db.execute(wanted.order_by(ENDPOINT.c.id.desc()).limit(limit)).all()


def change(db: Connection, endpoint_id: str, **values: Any) -> None:
    """Change what is named."""
    if values:
        db.execute(update(ENDPOINT).where(ENDPOINT.c.id == endpoint_id).values(values))


def note_success(db: Connection, endpoint_id: str) -> None:
    """It fails no more; one that did not fail is left alone, so that nobody waits for its row."""
    failing = (ENDPOINT.c.id == endpoint_id) & ENDPOINT.c.failing_since.is_not(None)
    db.execute(update(ENDPOINT).where(failing).values(failing_since=None))


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
    """Forget an endpoint and what was told to it; jobs that name the address still tell it."""
    # Nothing more is made for it meanwhile: whoever announces holds a share of this lock.
    db.execute(select(ENDPOINT.c.id).where(ENDPOINT.c.id == endpoint_id).with_for_update())
    db.execute(delete(DELIVERY).where(DELIVERY.c.endpoint_id == endpoint_id))
    db.execute(delete(ENDPOINT).where(ENDPOINT.c.id == endpoint_id))


def forget_named(db: Connection, before: datetime) -> int:
    """Forget addresses that jobs named long ago and of which no message is left."""
    told = select(DELIVERY.c.id).where(DELIVERY.c.endpoint_id == ENDPOINT.c.id).exists()
    # One that somebody disabled stays so for the next job that names it.
    is_wanted = ENDPOINT.c.disabled_reason.is_not_distinct_from(BY_HAND)
    old = ENDPOINT.c.is_named & (ENDPOINT.c.created_at < before) & ~told & ~is_wanted
    return db.execute(delete(ENDPOINT).where(old)).rowcount
