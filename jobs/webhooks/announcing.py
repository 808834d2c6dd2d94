"""From what happened to jobs to what is told of it: one delivery for each event and endpoint."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from jobs import history
from jobs.db import ensure_all
from jobs.models import Batch, Job, new_id, table
from jobs.public import job_public, when
from jobs.states import FINAL, JobState
from jobs.webhooks import endpoints
from jobs.webhooks.endings import batches_over, batches_shown
from jobs.webhooks.endpoints import DELIVERY, ENDPOINT

JOB = table(Job)
BATCH = table(Batch)
BATCH_FINISHED = "batch.finished"


def announce(db: Connection, events: Sequence[Row[Any]], now: datetime) -> int:
    """Make the deliveries for these events; returns their number.

    It belongs into the transaction that takes the events, so that none is told twice or not at all.
    """
    told = [(event, kind) for event in events if (kind := type_of(event)) is not None]
    everywhere = project_endpoints(db, {event.project_id for event, _ in told})
    rows = [
        *job_rows(db, told, everywhere, now),
        *batch_rows(db, events, everywhere, now),
    ]
    return ensure_all(db, DELIVERY, to_endpoints_that_stay(db, rows)) if rows else 0


def to_endpoints_that_stay(db: Connection, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows without those to endpoints that are being removed; no other goes before them."""
    wanted = select(ENDPOINT.c.id).where(ENDPOINT.c.id.in_({row["endpoint_id"] for row in rows}))
    kept = set(db.execute(wanted.with_for_update(read=True, key_share=True)).scalars())
    return [row for row in rows if row["endpoint_id"] in kept]


def type_of(event: Row[Any]) -> str | None:
    """What an event of a job is called; None for one that is not told."""
    if event.verb in {"uncertain", "expired"}:
        return "job.uncertain"
    if event.target == event.origin:
        return None
    if event.target in FINAL or event.target == JobState.HELD:
        return f"job.{event.target}"
    return None


def project_endpoints(db: Connection, projects: set[str]) -> dict[str, list[Row[Any]]]:
    """The endpoints that hear of all jobs, by project."""
    found: dict[str, list[Row[Any]]] = {}
    if not projects:
        return found
    wanted = select(ENDPOINT).where(
        ENDPOINT.c.project_id.in_(projects), ~ENDPOINT.c.is_named, ENDPOINT.c.disabled_at.is_(None)
    )
    for row in db.execute(wanted):
        found.setdefault(row.project_id, []).append(row)
    return found


def job_rows(
    db: Connection,
    told: Sequence[tuple[Row[Any], str]],
    everywhere: Mapping[str, list[Row[Any]]],
    now: datetime,
) -> Iterator[dict[str, Any]]:
    """The deliveries of jobs' events."""
    named = named_endpoints(db, JOB, {event.job_id for event, _ in told}, now)
    heard = [
        (event, kind, told_to)
        for event, kind in told
        if (told_to := listeners(event, kind, event.job_id, named, everywhere))
    ]
    shown = jobs_shown(db, {event.job_id for event, _, _ in heard})
    for event, kind, told_to in heard:
        payload = {"type": kind, "timestamp": when(event.at), "data": shown[event.job_id]}
        for endpoint in told_to:
            yield delivery(endpoint, event.job_id, event.id, payload, now)


def batch_rows(
    db: Connection,
    events: Sequence[Row[Any]],
    everywhere: Mapping[str, list[Row[Any]]],
    now: datetime,
) -> Iterator[dict[str, Any]]:
    """The deliveries of batches whose last jobs have ended with these events."""
    ended = {e.batch_id: e for e in events if e.batch_id is not None and e.target in FINAL}
    named = named_endpoints(db, BATCH, set(ended), now)
    heard = {
        batch_id: told_to
        for batch_id, event in ended.items()
        if (told_to := listeners(event, BATCH_FINISHED, batch_id, named, everywhere))
    }
    over = batches_over(db, events, set(heard), now)
    for batch_id, data in batches_shown(db, over):
        event = ended[batch_id]
        payload = {"type": BATCH_FINISHED, "timestamp": when(event.at), "data": data}
        for endpoint in heard[batch_id]:
            yield delivery(endpoint, batch_id, event.id, payload, now)


def named_endpoints(
    db: Connection, source: Any, ids: set[str], now: datetime
) -> dict[str, Row[Any]]:
    """The endpoints that jobs or batches name, by those."""
    if not ids:
        return {}
    named = db.execute(
        select(source.c.id, source.c.project_id, source.c.webhook_url).where(
            source.c.id.in_(ids), source.c.webhook_url.is_not(None)
        )
    ).all()
    known = {
        (row.project_id, row.webhook_url): endpoints.name_url(
            db, row.project_id, row.webhook_url, now
        )
        for row in named
    }
    return {
        row.id: found
        for row in named
        if (found := known[row.project_id, row.webhook_url]).disabled_at is None
    }


def listeners(
    event: Row[Any],
    kind: str,
    subject_id: str,
    named: Mapping[str, Row[Any]],
    everywhere: Mapping[str, list[Row[Any]]],
) -> list[Row[Any]]:
    """Who hears of it; an endpoint that is named, and hears of everything too, hears it once."""
    found = {
        endpoint.id: endpoint
        for endpoint in everywhere.get(event.project_id, ())
        if not endpoint.events or kind in endpoint.events
    }
    if subject_id in named:
        found.setdefault(named[subject_id].id, named[subject_id])
    return list(found.values())


def jobs_shown(db: Connection, ids: set[str]) -> dict[str, dict[str, Any]]:
    """The jobs as the API shows them."""
    if not ids:
        return {}
    outputs = history.outputs_of(db, list(ids))
    rows = db.execute(select(JOB).where(JOB.c.id.in_(ids))).all()
    return {row.id: job_public(row, outputs.get(row.id, [])) for row in rows}


def delivery(
    endpoint: Row[Any],
    subject_id: str,
    event_id: int,
    payload: dict[str, Any],
    now: datetime,
) -> dict[str, Any]:
    """A delivery's row."""
    return {
        "id": new_id(),
        "project_id": endpoint.project_id,
        "endpoint_id": endpoint.id,
        "type": payload["type"],
        "subject_id": subject_id,
        "event_id": event_id,
        "payload": payload,
        "due_at": now,
        "tries": 0,
        "created_at": now,
    }
