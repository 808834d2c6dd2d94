"""The queue of deliveries: take what is due, and write down what came of it."""

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, select, update

from jobs.webhooks import endpoints, seals
from jobs.webhooks.endpoints import DELIVERY, ENDPOINT
from jobs.webhooks.secrets import Seal

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
#: Deliveries at once to one host, so that a slow one does not keep the others waiting.
MOST_TO_ONE = 4
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


@dataclass(frozen=True)
class Errand:
    """A delivery that is to be tried, where to, and what signs it."""

    delivery: Row[Any]
    endpoint: Row[Any]
    seal: Seal

    @property
    def is_doubtful(self) -> bool:
        """Whether the last one to this endpoint failed, so that this one may well hang."""
        return self.endpoint.failing_since is not None


@dataclass(frozen=True)
class Room:
    """How many more may be on their way from here."""

    all: int
    #: Of them, to endpoints that fail: so many of those cannot keep the others waiting.
    doubtful: int
    #: On their way by now.
    by_host: Counter[str]


def claim(db: Connection, now: datetime, room: Room) -> list[Errand]:
    """Take due deliveries; nobody else takes them before their lease runs out."""
    full = [host for host, n in room.by_host.items() if n >= MOST_TO_ONE]
    due = (
        select(DELIVERY.c.id, ENDPOINT.c.host, ENDPOINT.c.failing_since)
        .join_from(DELIVERY, ENDPOINT, ENDPOINT.c.id == DELIVERY.c.endpoint_id)
        .where(DELIVERY.c.ended_at.is_(None), DELIVERY.c.due_at <= now)
        .where(ENDPOINT.c.host.not_in(full))
        .order_by(DELIVERY.c.due_at)
        .limit(room.all)
        .with_for_update(skip_locked=True, of=DELIVERY)
    )
    if room.doubtful <= 0:
        due = due.where(ENDPOINT.c.failing_since.is_(None))
    ids = fitting(db.execute(due), room)
    if not ids:
        return []
    leased = update(DELIVERY).where(DELIVERY.c.id.in_(ids)).values(due_at=now + LEASE)
    taken = db.execute(leased.returning(DELIVERY)).all()
    wanted = select(ENDPOINT).where(ENDPOINT.c.id.in_({row.endpoint_id for row in taken}))
    known = {row.id: (row, seals.seal_of(db, row)) for row in db.execute(wanted).all()}
    return [Errand(row, *known[row.endpoint_id]) for row in taken]


def fitting(due: Iterable[Row[Any]], room: Room) -> list[str]:
    """The ids of those for which there is room, the first ones first."""
    by_host, doubtful, ids = Counter(room.by_host), room.doubtful, []
    for row in due:
        is_doubtful = row.failing_since is not None
        if by_host[row.host] >= MOST_TO_ONE or (is_doubtful and doubtful <= 0):
            continue
        by_host[row.host] += 1
        doubtful -= is_doubtful
        ids.append(row.id)
    return ids


def settle(db: Connection, delivery: Row[Any], answer: Answer, now: datetime) -> None:
    """Write down what a try came to, and when the next one is."""
    tries = delivery.tries + 1
    values: dict[str, Any] = {
        "tries": tries,
        "last_status": answer.status,
        "last_error": answer.error,
        "last_answer": answer.text,
    }
    mine = update(DELIVERY).where(DELIVERY.c.id == delivery.id)
    if answer.has_arrived:
        db.execute(mine.values(**values, delivered_at=now, ended_at=now))
        endpoints.note_success(db, delivery.endpoint_id)
        return
    if tries > len(PAUSES):
        values |= {"ended_at": now}
    else:
        values |= {"due_at": now + next_pause(tries, answer)}
    # Whoever comes back when his lease is gone does not undo what others have settled.
    db.execute(
        mine.where(DELIVERY.c.tries == delivery.tries, DELIVERY.c.ended_at.is_(None)).values(values)
    )
    note_failure(db, delivery.endpoint_id, answer, now)


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
