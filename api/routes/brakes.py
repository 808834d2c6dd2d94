"""`/v1/pause` and `/v1/resume`: the whole project stops paying, and goes on."""

from starlette.responses import JSONResponse

from api.access import Known, router_for
from api.answers import Usage
from api.parts import UsesParts
from api.routes.account import usage_of
from jobs.keys import Scope
from jobs.queue import brakes

router = router_for(Scope.ADMIN, "account")


@router.post("/v1/pause", response_model=Usage)
def pause_project(caller: Known, parts: UsesParts) -> JSONResponse:
    """Start none of the project's jobs any more; what was paid is still fetched and stored."""
    now = parts.database.now()
    with parts.database.transaction() as db:
        brakes.pause_project(db, caller.project_id, now)
    parts.forecaster.forget()
    return JSONResponse(usage_of(parts, caller))


@router.post("/v1/resume", response_model=Usage)
def resume_project(caller: Known, parts: UsesParts) -> JSONResponse:
    """Go on."""
    with parts.database.transaction() as db:
        brakes.resume_project(db, caller.project_id)
    parts.forecaster.forget()
    parts.nudger.nudge()
    return JSONResponse(usage_of(parts, caller))
