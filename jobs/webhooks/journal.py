"""What was told, and what came of it: look it up, tell it again, forget it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update

from jobs.db import ensure
from jobs.errors import Conflict, NotFound
from jobs.models import new_id
from jobs.public import when
from jobs.webhooks import endpoints
from jobs.webhooks.endpoints import DELIVERY

LIFE = timedelta(days=30)
#: In one transaction: others wait for SQLite's writer no longer than that takes.
FORGOTTEN_AT_ONCE = 5000


def log_of(
    db: Connection, endpoint_id: str, *, before: str | None = None, limit: int
) -> Sequence[Row[Any]]:
    """What was told to an endpoint, the newest first."""
    wanted = select(DELIVERY).where(DELIVERY.c.endpoint_id == endpoint_id)
    if before is not None:
        wanted = wanted.where(DELIVERY.c.id < before)
    return db.execute(wanted.order_by(DELIVERY.c.id.desc()).limit(limit)).all()


def get(db: Connection, project_id: str, delivery_id: str) -> Row[Any]:
    """A delivery; raises NotFound."""
    wanted = select(DELIVERY).where(
        DELIVERY.c.id == delivery_id, DELIVERY.c.project_id == project_id
    )
    found = db.execute(wanted).one_or_none()
    if found is None:
        raise NotFound("there is no such delivery")
    return found


def replay(db: Connection, delivery: Row[Any], now: datetime) -> None:
    """Deliver it again, from the first try on, under the same id; raises Conflict."""
    refuse_disabled(endpoints.get(db, delivery.project_id, delivery.endpoint_id))
    values = {"tries": 0, "due_at": now, "ended_at": None, "delivered_at": None}
    db.execute(update(DELIVERY).where(DELIVERY.c.id == delivery.id).values(values))


def refuse_disabled(endpoint: Row[Any]) -> None:
    """Raise Conflict for an endpoint that is told nothing."""
    if endpoint.disabled_at is not None:
        raise Conflict(f"the webhook is disabled ({endpoint.disabled_reason}): enable it first")


def replay_failed(db: Connection, endpoint: Row[Any], since: datetime, now: datetime) -> int:
    """The same for all made since then that were given up; returns their number."""
    refuse_disabled(endpoint)
    done = db.execute(
        update(DELIVERY)
        .where(
            DELIVERY.c.endpoint_id == endpoint.id,
            DELIVERY.c.created_at >= since,
            DELIVERY.c.ended_at.is_not(None),
            DELIVERY.c.delivered_at.is_(None),
        )
        .values(tries=0, due_at=now, ended_at=None)
    )
    return done.rowcount


def tell_test(db: Connection, endpoint: Row[Any], now: datetime) -> str:
    """A message that tests an endpoint; returns the delivery's id. Raises Conflict."""
    refuse_disabled(endpoint)
    delivery_id = new_id()
    payload = {"type": "test", "timestamp": when(now), "data": {"webhook": endpoint.id}}
    row = {
        "id": delivery_id,
        "project_id": endpoint.project_id,
        "endpoint_id": endpoint.id,
        "type": "test",
        "subject_id": delivery_id,
        "event_id": 0,
        "payload": payload,
        "due_at": now,
        "tries": 0,
        "created_at": now,
    }
    ensure(db, DELIVERY, row)
    return delivery_id


def forget_old(db: Connection, now: datetime) -> int:
    """Forget some of what was told long ago; returns how many deliveries it was."""
    chosen = (
        select(DELIVERY.c.id)
        .where(DELIVERY.c.ended_at.is_not(None), DELIVERY.c.created_at < now - LIFE)
        .order_by(DELIVERY.c.created_at)
        .limit(FORGOTTEN_AT_ONCE)
    )
    forgotten = db.execute(delete(DELIVERY).where(DELIVERY.c.id.in_(chosen))).rowcount
    endpoints.forget_named(db, now - LIFE)
    return forgotten
