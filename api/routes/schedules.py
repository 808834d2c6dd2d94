"""`/v1/schedules`: jobs and batches that are submitted by a clock."""

from typing import Annotated, Any

from fastapi import Query
from sqlalchemy import Connection, Row
from starlette.responses import JSONResponse, Response

from api.access import Known, router_for
from api.answers_flows import ScheduleAnswer, SchedulePage
from api.parts import Parts, UsesParts
from api.paths import Id
from api.schedule_bodies import Planner, ScheduleBody, ScheduleChange, new_schedule
from jobs.keys import Caller, Scope
from jobs.limits import check_open
from jobs.schedules import firing, store

reading = router_for(Scope.READ, "schedules")
submitting = router_for(Scope.SUBMIT, "schedules")


@submitting.post("/v1/schedules", status_code=201, response_model=ScheduleAnswer)
def create_schedule(body: ScheduleBody, caller: Known, parts: UsesParts) -> JSONResponse:
    """Make a schedule. Its template is checked now, as if it were submitted."""
    plan = planner_of(parts, caller).plan(body.template)
    now = parts.database.now()
    wanted = new_schedule(body, plan, now)
    with parts.database.transaction() as db:
        schedule_id = store.create(db, wanted, now, project_id=caller.project_id)
        shown = look(db, caller.project_id, schedule_id)
    return JSONResponse(shown, 201, {"location": f"/v1/schedules/{schedule_id}"})


@reading.get("/v1/schedules", response_model=SchedulePage)
def list_schedules(
    caller: Known,
    parts: UsesParts,
    cursor: Annotated[str | None, Query(pattern="^[0-9a-z]{26}$")] = None,
    limit: Annotated[int, Query(ge=1, le=50)] = 20,
) -> JSONResponse:
    """The newest schedules."""
    with parts.database.reading() as db:
        found = store.list_schedules(db, caller.project_id, before=cursor, limit=limit + 1)
        items = [show(db, schedule) for schedule in found[:limit]]
    next_cursor = items[-1]["id"] if len(found) > limit else None
    return JSONResponse({"items": items, "next_cursor": next_cursor})


@reading.get("/v1/schedules/{schedule_id}", response_model=ScheduleAnswer)
def get_schedule(schedule_id: Id, caller: Known, parts: UsesParts) -> JSONResponse:
    """A schedule and its last runs."""
    with parts.database.reading() as db:
        return JSONResponse(look(db, caller.project_id, schedule_id))


@submitting.patch("/v1/schedules/{schedule_id}", response_model=ScheduleAnswer)
def change_schedule(
    schedule_id: Id, body: ScheduleChange, caller: Known, parts: UsesParts
) -> JSONResponse:
    """Change what is named; `enabled` pauses and resumes. Times of a pause are not made up for."""
    now = parts.database.now()
    changes: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set}
    if "enabled" in changes:
        changes["paused_at"] = None if changes.pop("enabled") else now
    if "template" in changes:
        changes["plan"] = planner_of(parts, caller).plan(body.template).as_json()
    with parts.database.transaction() as db:
        store.change(db, caller.project_id, schedule_id, changes, now)
        return JSONResponse(look(db, caller.project_id, schedule_id))


@submitting.delete("/v1/schedules/{schedule_id}", status_code=204, response_class=Response)
def delete_schedule(schedule_id: Id, caller: Known, parts: UsesParts) -> Response:
    """Run it no more; what it let in goes on."""
    now = parts.database.now()
    with parts.database.transaction() as db:
        store.delete(db, caller.project_id, schedule_id, now)
    return Response(status_code=204)


@submitting.post("/v1/schedules/{schedule_id}/run", status_code=202, response_model=ScheduleAnswer)
def run_schedule(schedule_id: Id, caller: Known, parts: UsesParts) -> JSONResponse:
    """Run it now, also a paused one. Its `overlap` holds for this run as well."""
    now = parts.database.now()
    with parts.database.transaction() as db:
        firing.run_now(db, caller.project_id, schedule_id, now)
        check_open(db, caller.project_id, caller.limits)
        shown = look(db, caller.project_id, schedule_id)
    parts.nudger.nudge()
    return JSONResponse(shown, 202)


def planner_of(parts: Parts, caller: Caller) -> Planner:
    """What reads a body's template."""
    policy = parts.settings.darkroom_on_uncertain
    return Planner(
        parts.database, parts.storage, parts.policy, caller.project_id, policy, caller.limits
    )


def look(db: Connection, project_id: str, schedule_id: str) -> dict[str, Any]:
    """The schedule as it is now; raises NotFound."""
    return show(db, store.find(db, project_id, schedule_id))


def show(db: Connection, schedule: Row[Any]) -> dict[str, Any]:
    """A schedule with its last runs."""
    return store.schedule_public(schedule, store.last_runs(db, schedule.id))
