"""`/v1/batches`: many jobs at once; by their list, or streamed in and then started."""

import json
import time
from typing import Annotated, Any

from fastapi import Query
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import JSONResponse

from api.access import Known, router_for
from api.answers import BatchAnswer, BatchPage, BatchReport, Changed, IngestReport
from api.bodies import EXAMPLE, BatchBody, BatchChange
from api.listed import let_list_in, open_empty
from api.parts import Parts, UsesParts
from api.paths import Id
from api.rows import Common, Loader
from jobs import batches, figures, ingest, tallies
from jobs.errors import Conflict
from jobs.keys import Caller, Scope
from jobs.public import batch_public
from jobs.queue import bulk
from jobs.queue.bulk import Bulk

reading = router_for(Scope.READ, "batches")
submitting = router_for(Scope.SUBMIT, "batches")
#: A stream may be as long as it likes: it is never whole in memory.
streaming = router_for(Scope.SUBMIT, "batches", body_bytes=None)

#: What takes longer goes on without its caller.
PATIENCE_SECONDS = 5.0

ROWS = json.dumps(EXAMPLE) + "\n"
NDJSON = {
    "requestBody": {
        "required": True,
        "description": "One job on each line.",
        "content": {"application/x-ndjson": {"schema": {"type": "string", "examples": [ROWS]}}},
    }
}


@submitting.post("/v1/batches", status_code=202, response_model=BatchReport)
def create_batch(body: BatchBody, caller: Known, parts: UsesParts) -> JSONResponse:
    """Make a batch. With `jobs` it starts at once, without those that have faults; without, its
    rows follow. The same again is the same batch; another one of that name is a conflict."""
    if body.jobs is None:
        batch_id, report = open_empty(parts, caller.project_id, body), None
    else:
        batch_id, report = let_list_in(parts, caller, body)
        parts.nudger.nudge()
    shown = look(parts, caller.project_id, batch_id)
    if report is not None:
        shown |= report.public()
    return JSONResponse(shown, 202, {"location": f"/v1/batches/{batch_id}"})


@streaming.post("/v1/batches/{batch_id}/jobs", response_model=IngestReport, openapi_extra=NDJSON)
async def add_jobs(
    batch_id: Id,
    request: Request,
    caller: Known,
    parts: UsesParts,
    from_row: Annotated[int, Query(ge=0, le=10**9, description="Of the first line.")] = 0,
) -> JSONResponse:
    """Stream rows in. A stream that was cut off goes on from the batch's `next_row`; rows that
    are there already stay as they are."""
    # A stream comes in pieces, between which it must hold no thread.
    common = await run_in_threadpool(common_of, parts, caller, batch_id)
    loader = Loader(parts, common, batch_id, from_row=from_row)
    await loader.load(request.stream())
    next_row = await run_in_threadpool(behind_last, parts, batch_id)
    return JSONResponse(loader.report.public() | {"next_row": next_row})


@submitting.post("/v1/batches/{batch_id}/start", status_code=202, response_model=BatchAnswer)
def start_batch(batch_id: Id, caller: Known, parts: UsesParts) -> JSONResponse:
    """Start a batch whose rows are in; a large one goes on starting after the answer."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    for _ in ingest.start(parts.database, caller.project_id, batch_id):
        parts.nudger.nudge()
        if time.monotonic() > deadline:
            break
    return JSONResponse(look(parts, caller.project_id, batch_id), 202)


@reading.get("/v1/batches", response_model=BatchPage)
def list_batches(
    caller: Known,
    parts: UsesParts,
    cursor: Annotated[str | None, Query(pattern="^[0-9a-z]{26}$")] = None,
    limit: Annotated[int, Query(ge=1, le=50)] = 20,
) -> JSONResponse:
    """The newest batches."""
    with parts.database.reading() as db:
        found = batches.list_batches(db, caller.project_id, before=cursor, limit=limit + 1)
        items = [show(parts, db, batch) for batch in found[:limit]]
    next_cursor = items[-1]["id"] if len(found) > limit else None
    return JSONResponse({"items": items, "next_cursor": next_cursor})


@reading.get("/v1/batches/{batch_id}", response_model=BatchAnswer)
def get_batch(batch_id: Id, caller: Known, parts: UsesParts) -> JSONResponse:
    """How a batch stands."""
    return JSONResponse(look(parts, caller.project_id, batch_id))


@submitting.post("/v1/batches/{batch_id}/pause", response_model=BatchAnswer)
def pause_batch(batch_id: Id, caller: Known, parts: UsesParts) -> JSONResponse:
    """Start no more of its jobs."""
    return set_pause(parts, caller.project_id, batch_id, is_paused=True)


@submitting.post("/v1/batches/{batch_id}/resume", response_model=BatchAnswer)
def resume_batch(batch_id: Id, caller: Known, parts: UsesParts) -> JSONResponse:
    """Go on."""
    answer = set_pause(parts, caller.project_id, batch_id, is_paused=False)
    parts.nudger.nudge()
    return answer


@submitting.post("/v1/batches/{batch_id}/front", response_model=BatchAnswer)
def move_to_front(batch_id: Id, caller: Known, parts: UsesParts) -> JSONResponse:
    """Start its jobs before all others of the project with their priority."""
    now = parts.database.now()
    with parts.database.transaction() as db:
        batches.front(db, caller.project_id, batch_id, now)
    parts.forecaster.forget()
    parts.nudger.nudge()
    return JSONResponse(look(parts, caller.project_id, batch_id))


@submitting.patch("/v1/batches/{batch_id}", response_model=BatchAnswer)
def change_batch(batch_id: Id, body: BatchChange, caller: Known, parts: UsesParts) -> JSONResponse:
    """Change its priority, weight, cap or budget, also while it runs."""
    now = parts.database.now()
    with parts.database.transaction() as db:
        batches.change(db, caller.project_id, batch_id, now, **body.changes)
    parts.forecaster.forget()
    carry_out(parts, batch_id)
    return JSONResponse(look(parts, caller.project_id, batch_id))


@submitting.post("/v1/batches/{batch_id}/cancel", response_model=Changed)
def cancel_batch(batch_id: Id, caller: Known, parts: UsesParts) -> JSONResponse:
    """Cancel all of its jobs that were not sent yet."""
    return do_to_all(parts, caller.project_id, batch_id, Bulk.CANCEL)


@submitting.post("/v1/batches/{batch_id}/retry", response_model=Changed)
def retry_batch(batch_id: Id, caller: Known, parts: UsesParts) -> JSONResponse:
    """Open its failed jobs again, as many as the budget has room for."""
    return do_to_all(parts, caller.project_id, batch_id, Bulk.RETRY)


def do_to_all(parts: Parts, project_id: str, batch_id: str, verb: Bulk) -> JSONResponse:
    """Begin a verb for all jobs of a batch, and carry it out as far as it goes soon."""
    now = parts.database.now()
    with parts.database.transaction() as db:
        batches.get_batch(db, project_id, batch_id)
        bulk.begin(db, batch_id, verb, now)
    return JSONResponse(carry_out(parts, batch_id))


def carry_out(parts: Parts, batch_id: str) -> dict[str, Any]:
    """Do what was begun for some seconds; the beat does the rest."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    changed = 0
    for so_far in batches.carry_out(parts.database, batch_id):
        changed = so_far
        parts.nudger.nudge()
        if time.monotonic() > deadline:
            break
    with parts.database.reading() as db:
        is_over = not bulk.is_under_way(db, batch_id)
    return {"changed": changed, "is_over": is_over}


def set_pause(parts: Parts, project_id: str, batch_id: str, *, is_paused: bool) -> JSONResponse:
    """Pause or resume a batch; raises Conflict for one that is not started."""
    now = parts.database.now()
    with parts.database.transaction() as db:
        if batches.get_batch(db, project_id, batch_id).loaded_at is None:
            raise Conflict("the batch is not started")
        batches.pause(db, project_id, batch_id, now if is_paused else None)
    parts.forecaster.forget()
    return JSONResponse(look(parts, project_id, batch_id))


def common_of(parts: Parts, caller: Caller, batch_id: str) -> Common:
    """What the batch said for all of its rows; raises NotFound."""
    with parts.database.reading() as db:
        batch = batches.get_batch(db, caller.project_id, batch_id)
    defaults = batch.about.get("defaults", {})
    return Common(caller.project_id, batch.on_uncertain, defaults, caller.limits)


def behind_last(parts: Parts, batch_id: str) -> int:
    """Where a stream would go on."""
    with parts.database.reading() as db:
        return ingest.next_row(db, batch_id)


def look(parts: Parts, project_id: str, batch_id: str) -> dict[str, Any]:
    """The batch as it is now; raises NotFound."""
    with parts.database.reading() as db:
        return show(parts, db, batches.get_batch(db, project_id, batch_id))


def show(parts: Parts, db: Connection, batch: Any) -> dict[str, Any]:
    """A batch with its counts."""
    counts = tallies.counts(db, batch_id=batch.id)
    losses = figures.losses(db, batch.id)
    forecast = parts.forecaster.batch(db, batch, counts, parts.database.now())
    shown = batch_public(batch, counts, losses=losses, forecast=forecast)
    return shown | {"next_row": ingest.next_row(db, batch.id)}
