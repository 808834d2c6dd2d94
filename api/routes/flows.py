"""`/v1/flows`: jobs that use each other's outputs."""

from typing import Annotated, Any

from fastapi import Query
from sqlalchemy import Connection
from starlette.responses import JSONResponse

from api.access import Known, router_for
from api.answers_flows import FlowAnswer, FlowPage
from api.flow_bodies import FlowBody, Reader, outside_faults
from api.parts import Parts, UsesParts
from api.paths import Id
from api.problems import InvalidRequest
from api.routes.jobs import IdempotencyKey
from jobs import history
from jobs.flows import store
from jobs.flows.public import flow_public
from jobs.idempotency import fingerprint_of, make_once
from jobs.keys import Scope
from jobs.limits import check_open

reading = router_for(Scope.READ, "flows")
submitting = router_for(Scope.SUBMIT, "flows")


@submitting.post(
    "/v1/flows",
    status_code=202,
    response_model=FlowAnswer,
    responses={200: {"model": FlowAnswer, "description": "This key's flow, made before"}},
)
def submit_flow(
    body: FlowBody, caller: Known, parts: UsesParts, idempotency_key: IdempotencyKey = None
) -> JSONResponse:
    """Let all jobs of a flow in, or none. Each starts when what it needs has succeeded, and is
    skipped when that ends otherwise."""
    project_id = caller.project_id
    steps = reader_of(parts, project_id).steps(body)
    now = parts.database.now()
    with parts.database.transaction() as db:

        def make() -> str:
            # What a flow that is there already needed may have failed by now.
            if faults := outside_faults(db, project_id, steps):
                raise InvalidRequest(faults)
            return store.let_in(db, body.name, steps, now, project_id=project_id)

        if idempotency_key is None:
            flow_id, is_new = make(), True
        else:
            fingerprint = fingerprint_of({"flow": body.model_dump(mode="json")})
            flow_id, is_new = make_once(
                db, make, now, project_id=project_id, key=idempotency_key, fingerprint=fingerprint
            )
        if is_new:
            check_open(db, project_id, caller.limits)
        shown = show(db, store.find(db, project_id, flow_id))
    parts.nudger.nudge()
    return JSONResponse(shown, 202 if is_new else 200, {"location": f"/v1/flows/{flow_id}"})


@reading.get("/v1/flows", response_model=FlowPage)
def list_flows(
    caller: Known,
    parts: UsesParts,
    cursor: Annotated[str | None, Query(pattern="^[0-9a-z]{26}$")] = None,
    limit: Annotated[int, Query(ge=1, le=20)] = 20,
) -> JSONResponse:
    """The newest flows."""
    with parts.database.reading() as db:
        found = store.list_flows(db, caller.project_id, before=cursor, limit=limit + 1)
        items = [show(db, flow) for flow in found[:limit]]
    next_cursor = items[-1]["id"] if len(found) > limit else None
    return JSONResponse({"items": items, "next_cursor": next_cursor})


@reading.get("/v1/flows/{flow_id}", response_model=FlowAnswer)
def get_flow(flow_id: Id, caller: Known, parts: UsesParts) -> JSONResponse:
    """A flow with its jobs."""
    with parts.database.reading() as db:
        return JSONResponse(show(db, store.find(db, caller.project_id, flow_id)))


@submitting.post("/v1/flows/{flow_id}/cancel", response_model=FlowAnswer)
def cancel_flow(flow_id: Id, caller: Known, parts: UsesParts) -> JSONResponse:
    """Cancel what was not sent yet; what was sent finishes, for it is paid."""
    now = parts.database.now()
    with parts.database.transaction() as db:
        store.cancel(db, caller.project_id, flow_id, now)
        return JSONResponse(show(db, store.find(db, caller.project_id, flow_id)))


@submitting.post("/v1/flows/{flow_id}/retry", response_model=FlowAnswer)
def retry_flow(flow_id: Id, caller: Known, parts: UsesParts) -> JSONResponse:
    """Open its failed, canceled and skipped jobs again; what has succeeded is used as it is."""
    now = parts.database.now()
    with parts.database.transaction() as db:
        store.retry(db, caller.project_id, flow_id, now)
        check_open(db, caller.project_id, caller.limits)
        shown = show(db, store.find(db, caller.project_id, flow_id))
    parts.nudger.nudge()
    return JSONResponse(shown)


def reader_of(parts: Parts, project_id: str) -> Reader:
    """What reads a body's steps."""
    policy = parts.settings.darkroom_on_uncertain
    return Reader(parts.database, parts.storage, parts.policy, project_id, policy)


def show(db: Connection, found: store.Found) -> dict[str, Any]:
    """A flow with its jobs and their outputs."""
    outputs = history.outputs_of(db, [job.id for job in found.jobs.values()])
    return flow_public(found, outputs)
