"""`/v1/jobs/{id}/resolve`: what a person decides about a job whose paid call was lost."""

from typing import Literal

from pydantic import ConfigDict, Field
from starlette.responses import JSONResponse

from api.access import Known, router_for
from api.answers import JobAnswer
from api.bodies import Body
from api.parts import UsesParts
from api.paths import Id
from api.views import show_job
from jobs.keys import Scope
from jobs.queue import desk

router = router_for(Scope.SUBMIT, "jobs")


class Verdict(Body):
    """Whether to pay once more."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"decision": "give-up"}]})

    decision: Literal["resubmit", "give-up"] = Field(description="Pay again, or fail the job.")


@router.post("/v1/jobs/{job_id}/resolve", response_model=JobAnswer)
def resolve_job(job_id: Id, body: Verdict, caller: Known, parts: UsesParts) -> JSONResponse:
    """Decide about a job that is held as uncertain; any other is a conflict."""
    now = parts.database.now()
    with parts.database.transaction() as db:
        desk.resolve(db, caller.project_id, job_id, now, decision=body.decision)
        shown = show_job(db, caller.project_id, job_id)
    parts.nudger.nudge()
    return JSONResponse(shown)
