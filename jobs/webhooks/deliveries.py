"""The queue of deliveries: claim, settle, replay, forget."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update

from jobs.db import ensure
from jobs.errors import NotFound
from jobs.models import new_id
from jobs.webhooks import endpoints
from jobs.webhooks.endpoints import DELIVERY, ENDPOINT

#: From one try to the next, as the Standard Webhooks propose: three days in all.
PAUSES = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
)
#: So much earlier or later a try may be, so that many do not come at once.
JITTER = 0.1
#: An endpoint at which nothing has arrived for so long is disabled.
PATIENCE = timedelta(days=5)
#: Whoever died with a delivery leaves it to others after so long.
LEASE = timedelta(seconds=60)
#: Deliveries at once to one endpoint, so that a slow one does not keep the others waiting.
MOST_TO_ONE = 4
LIFE = timedelta(days=30)
GONE = 410


@dataclass(frozen=True)
class Answer:
    """What a try came to; no status when nobody answered."""

    status: int | None
    error: str | None = None
    text: str | None = None
    retry_after: timedelta | None = None

    @property
    def has_arrived(self) -> bool:
        """Whether the receiver took it."""
        return self.status is not None and 200 <= self.status < 300


def claim(
    db: Connection, now: datetime, *, limit: int, busy: Counter[str]
) -> Sequence[tuple[Row[Any], Row[Any]]]:
    """Due deliveries with their endpoints; `busy` counts those under way here, by endpoint."""
    full = [endpoint_id for endpoint_id, n in busy.items() if n >= MOST_TO_ONE]
    due = (
        select(DELIVERY)
        .where(DELIVERY.c.ended_at.is_(None), DELIVERY.c.due_at <= now)
        .where(DELIVERY.c.endpoint_id.not_in(full))
        .order_by(DELIVERY.c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    taken, count = [], Counter(busy)
    for row in db.execute(due):
        if count[row.endpoint_id] < MOST_TO_ONE:
            count[row.endpoint_id] += 1
            taken.append(row)
    if not taken:
        return []
    db.execute(
        update(DELIVERY)
        .where(DELIVERY.c.id.in_([row.id for row in taken]))
        .values(due_at=now + LEASE)
    )
    wanted = select(ENDPOINT).where(ENDPOINT.c.id.in_({row.endpoint_id for row in taken}))
    known = {row.id: row for row in db.execute(wanted)}
    return [(row, known[row.endpoint_id]) for row in taken]


def settle(db: Connection, row: Row[Any], answer: Answer, now: datetime) -> None:
    """Write down what a try came to, and when the next one is."""
    tries = row.tries + 1
    values: dict[str, Any] = {
        "tries": tries,
        "last_status": answer.status,
        "last_error": answer.error,
        "last_answer": answer.text,
    }
    if answer.has_arrived:
        values |= {"delivered_at": now, "ended_at": now}
        endpoints.change(db, row.endpoint_id, failing_since=None)
    elif tries > len(PAUSES):
        values |= {"ended_at": now}
    else:
        values |= {"due_at": now + next_pause(tries, answer)}
    db.execute(update(DELIVERY).where(DELIVERY.c.id == row.id).values(values))
    if not answer.has_arrived:
        note_failure(db, row.endpoint_id, answer, now)


def next_pause(tries: int, answer: Answer) -> timedelta:
    """How long to wait for the next try; a receiver may ask for more time."""
    planned = PAUSES[tries - 1] * random.uniform(1 - JITTER, 1 + JITTER)
    return max(planned, min(answer.retry_after or planned, PAUSES[-1]))


def note_failure(db: Connection, endpoint_id: str, answer: Answer, now: datetime) -> None:
    """Disable an endpoint that is gone, or at which nothing has arrived for days."""
    found = db.execute(select(ENDPOINT).where(ENDPOINT.c.id == endpoint_id)).one_or_none()
    if found is None or found.disabled_at is not None:
        return
    if answer.status == GONE:
        endpoints.disable(db, endpoint_id, "it answered 410 Gone", now)
    elif found.failing_since is None:
        endpoints.change(db, endpoint_id, failing_since=now)
    elif now - found.failing_since > PATIENCE:
        endpoints.disable(db, endpoint_id, f"nothing has arrived for {PATIENCE.days} days", now)


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


def replay(db: Connection, delivery_id: str, now: datetime) -> None:
    """Deliver it again, from the first try on, under the same id."""
    values = {"tries": 0, "due_at": now, "ended_at": None, "delivered_at": None}
    db.execute(update(DELIVERY).where(DELIVERY.c.id == delivery_id).values(values))


def replay_failed(db: Connection, endpoint_id: str, since: datetime, now: datetime) -> int:
    """The same for all that were given up since then; returns their number."""
    done = db.execute(
        update(DELIVERY)
        .where(
            DELIVERY.c.endpoint_id == endpoint_id,
            DELIVERY.c.created_at >= since,
            DELIVERY.c.ended_at.is_not(None),
            DELIVERY.c.delivered_at.is_(None),
        )
        .values(tries=0, due_at=now, ended_at=None)
    )
    return done.rowcount


def tell_test(db: Connection, endpoint: Row[Any], now: datetime) -> str:
    """A message that tests an endpoint; returns the delivery's id."""
    delivery_id = new_id()
    payload = {"type": "test", "timestamp": now.isoformat(), "data": {"webhook": endpoint.id}}
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
    """Forget what was told long ago; returns how many deliveries it was."""
    old = DELIVERY.c.ended_at.is_not(None) & (DELIVERY.c.created_at < now - LIFE)
    return db.execute(delete(DELIVERY).where(old)).rowcount
