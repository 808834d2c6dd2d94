"""From what happened to jobs to what is told of it: one delivery for each event and endpoint."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from jobs import history, tallies
from jobs.batches import BATCH
from jobs.db import ensure
from jobs.models import Job, new_id, table
from jobs.public import job_public
from jobs.states import FINAL, JobState
from jobs.webhooks import endpoints
from jobs.webhooks.endpoints import DELIVERY, ENDPOINT

JOB = table(Job)


def announce(db: Connection, events: Sequence[Row[Any]], now: datetime) -> int:
    """Make the deliveries for these events; returns their number.

    It belongs into the transaction that takes the events, so that none is told twice or not at all.
    """
    told = [(event, kind) for event in events if (kind := type_of(event)) is not None]
    if not told:
        return 0
    everywhere = project_endpoints(db, {event.project_id for event, _ in told})
    rows = [
        *job_rows(db, told, everywhere, now),
        *batch_rows(db, [event for event, _ in told], everywhere, now),
    ]
    return sum(ensure(db, DELIVERY, row) for row in rows)


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
        payload = {"type": kind, "timestamp": event.at.isoformat(), "data": shown[event.job_id]}
        for endpoint in told_to:
            yield delivery(endpoint, kind, event.job_id, event.id, payload, now)


def batch_rows(
    db: Connection,
    events: Sequence[Row[Any]],
    everywhere: Mapping[str, list[Row[Any]]],
    now: datetime,
) -> Iterator[dict[str, Any]]:
    """The deliveries of batches whose last jobs have ended with these events."""
    ended = {e.batch_id: e for e in events if e.batch_id is not None and e.target in FINAL}
    named = named_endpoints(db, BATCH, set(ended), now)
    kind = "batch.finished"
    for batch_id, event in ended.items():
        told_to = listeners(event, kind, batch_id, named, everywhere)
        if not told_to:
            continue
        batch = db.execute(select(BATCH).where(BATCH.c.id == batch_id)).one()
        counts = tallies.counts(db, batch_id=batch_id)
        if batch.loaded_at is None or counts.finished < counts.total:
            continue
        data = {
            "id": batch_id,
            "name": batch.name,
            "size": batch.size,
            "counts": {str(state): n for state, n in counts.by_state.items()},
        }
        payload = {"type": kind, "timestamp": event.at.isoformat(), "data": data}
        for endpoint in told_to:
            # The same end, seen by two who count at once, is one event: the charges and the
            # states are the same. A batch that is retried ends anew, with other figures.
            number = counts.charged_milli + counts.total
            yield delivery(endpoint, kind, batch_id, number, payload, now)


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
    kind: str,
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
        "type": kind,
        "subject_id": subject_id,
        "event_id": event_id,
        "payload": payload,
        "due_at": now,
        "tries": 0,
        "created_at": now,
    }
