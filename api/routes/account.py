"""`/v1/usage` and `/v1/balance`: what the project has spent, and what is left."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from redis import RedisError
from starlette.responses import JSONResponse

from api.access import Known, router_for
from api.answers import Balance, Usage
from api.parts import Parts, UsesParts
from jobs import figures, presence, projects, tallies
from jobs.errors import LimiterUnavailable
from jobs.keys import Caller, Scope
from jobs.public import credential_public, credits_of, when
from jobs.queue import brakes
from jobs.queue.breaker import next_probe

router = router_for(Scope.READ, "account")


@router.get("/v1/usage", response_model=Usage)
def get_usage(caller: Known, parts: UsesParts) -> JSONResponse:
    """The project's jobs by state, and the credits they cost."""
    return JSONResponse(usage_of(parts, caller))


def usage_of(parts: Parts, caller: Caller) -> dict[str, Any]:
    """What the caller's project has, and what keeps it from more."""
    project_id = caller.project_id
    with parts.database.reading() as db:
        counts = tallies.counts(db, project_id=project_id)
        terms = projects.terms_of(db, project_id)
        paused_by = brakes.in_the_way(db, project_id)
        probe_at = next_probe(db, parts.database.now())
    return {
        "project": project_id,
        "jobs": {str(state): number for state, number in counts.by_state.items()},
        "credits": {"spent": credits_of(counts.charged_milli)},
        "weight": terms.weight,
        "max_in_flight": terms.max_in_flight,
        "paused_by": paused_by,
        "workers": workers_there(parts),
        "probe_at": when(probe_at),
        "limits": caller.limits.model_dump(),
    }


def workers_there(parts: Parts) -> int | None:
    """How many workers are there; None while Redis is away."""
    try:
        return len(presence.workers_there(parts.redis))
    except RedisError:
        return None


@router.get("/v1/balance", response_model=Balance)
def get_balance(parts: UsesParts) -> JSONResponse:
    """The credentials that pay, and the credits they had when they were last asked."""
    rows = parts.balances.known()
    total = credits_of(figures.total_balance(rows))
    thaws = thaws_of(parts, [row.id for row in rows])
    credentials = [
        credential_public(row) | {"frozen_until": when(thaws.get(row.id))} for row in rows
    ]
    return JSONResponse({"credits": total, "credentials": credentials})


def thaws_of(parts: Parts, credential_ids: Sequence[str]) -> dict[str, datetime]:
    """When those that are locked out may be used again; none, while Redis is away."""
    now = parts.database.now()
    try:
        frozen = {i: parts.limiter.look(i).frozen for i in credential_ids}
    except LimiterUnavailable:
        return {}
    return {i: now + wait for i, wait in frozen.items() if wait}
