"""`/v1/jobs`: submit, look, wait, cancel, retry."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Body, Header, Query
from fastapi.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from api.access import Known, router_for
from api.answers import History, JobAnswer, JobPage
from api.bodies import JobBody, RetryBody, retried_params
from api.parts import Parts, UsesParts
from api.paths import Id
from api.problems import InvalidRequest
from api.submissions import Submission
from api.views import show_job
from jobs import history
from jobs.idempotency import fingerprint_of
from jobs.inputs import keep_inputs
from jobs.keys import Caller, Scope
from jobs.limits import check_open
from jobs.public import history_public, job_public
from jobs.queue import desk
from jobs.search import Question, find_jobs
from jobs.states import FINAL, JobState

reading = router_for(Scope.READ, "jobs")
submitting = router_for(Scope.SUBMIT, "jobs")

LONGEST_WAIT = 60
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern=r"^[\x20-\x7e]+$",
        description="The same again within 24 hours is the same job.",
    ),
]
Line = Annotated[str | None, Query(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]


@submitting.post(
    "/v1/jobs",
    status_code=202,
    response_model=JobAnswer,
    responses={200: {"model": JobAnswer, "description": "This key's job, made before"}},
)
async def submit_job(
    body: JobBody, caller: Known, parts: UsesParts, idempotency_key: IdempotencyKey = None
) -> JSONResponse:
    """Let a job in; a worker starts it when there is room for it under the API's limits."""
    project_id = caller.project_id
    if faults := parts.policy.webhook_faults(body.webhook_url):
        raise InvalidRequest(faults)
    inputs = await kept(parts, project_id, body.inputs) if body.inputs else {}
    submission = Submission(
        project_id=project_id,
        job=body.as_new_job(inputs, parts.settings.darkroom_on_uncertain),
        limits=caller.limits,
        key=idempotency_key,
        fingerprint=fingerprint_of(body.model_dump(mode="json")) if idempotency_key else "",
    )
    told = await parts.submissions.add(submission)
    parts.nudger.nudge()
    headers = {"location": f"/v1/jobs/{told.shown['id']}"}
    return JSONResponse(told.shown, 202 if told.is_new else 200, headers)


@reading.get("/v1/jobs", response_model=JobPage)
def list_jobs(
    caller: Known,
    parts: UsesParts,
    state: JobState | None = None,
    batch: Annotated[str | None, Query(pattern="^[0-9a-z]{26}$")] = None,
    operation: Line = None,
    q: Annotated[Line, Query(description="Part of the prompt or the metadata.")] = None,
    cursor: Annotated[str | None, Query(pattern="^[0-9a-z]{26}$")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> JSONResponse:
    """The newest jobs that fit. With `operation` or `q` a page may be short, or empty, before the
    end: only a `next_cursor` of null ends the list."""
    question = Question(state=state, batch_id=batch, operation=operation, text=q)
    with parts.database.reading() as db:
        page = find_jobs(db, caller.project_id, question, cursor=cursor, limit=limit)
        outputs = history.outputs_of(db, [job.id for job in page.jobs])
    items = [job_public(job, outputs.get(job.id, [])) for job in page.jobs]
    return JSONResponse({"items": items, "next_cursor": page.next_cursor})


@reading.get("/v1/jobs/{job_id}", response_model=JobAnswer)
async def get_job(
    job_id: Id,
    caller: Known,
    parts: UsesParts,
    wait: Annotated[
        float, Query(ge=0, le=LONGEST_WAIT, description="Seconds to wait for the job's end.")
    ] = 0,
) -> JSONResponse:
    """One job; with `wait` the answer comes when it has ended, or after so long."""

    async def look() -> dict[str, Any]:
        return await parts.views.look(caller.project_id, job_id)

    # Whoever waits holds no thread.
    shown: Mapping[str, Any] = await look()
    if wait and shown["state"] not in FINAL:
        shown = await parts.bulletin.wait_for_end(job_id, look, wait_seconds=wait)
    return JSONResponse(shown)


@reading.get("/v1/jobs/{job_id}/history", response_model=History)
def get_history(job_id: Id, caller: Known, parts: UsesParts) -> JSONResponse:
    """Every change of a job, and every try at its paid call."""
    with parts.database.reading() as db:
        history.get_job(db, caller.project_id, job_id)
        events, attempts = history.events_of(db, job_id), history.attempts_of(db, job_id)
    return JSONResponse(history_public(events, attempts))


@submitting.post("/v1/jobs/{job_id}/cancel", response_model=JobAnswer)
def cancel_job(job_id: Id, caller: Known, parts: UsesParts) -> JSONResponse:
    """Stop a job that was not sent yet; one that was sent finishes, for it is paid (409)."""
    now = parts.database.now()
    with parts.database.transaction() as db:
        desk.cancel(db, caller.project_id, job_id, now)
        return JSONResponse(show_job(db, caller.project_id, job_id))


@submitting.post("/v1/jobs/{job_id}/retry", response_model=JobAnswer)
def retry_job(
    job_id: Id,
    caller: Known,
    parts: UsesParts,
    body: Annotated[RetryBody | None, Body()] = None,
) -> JSONResponse:
    """Open a failed, canceled or skipped job again, with other parameters if you like."""
    shown = reopen(parts, caller, job_id, body or RetryBody())
    parts.nudger.nudge()
    return JSONResponse(shown)


@submitting.post("/v1/jobs/{job_id}/front", response_model=JobAnswer)
def move_to_front(job_id: Id, caller: Known, parts: UsesParts) -> JSONResponse:
    """Start a queued job before all others of the project with its priority."""
    now = parts.database.now()
    with parts.database.transaction() as db:
        desk.front(db, caller.project_id, job_id, now)
        shown = show_job(db, caller.project_id, job_id)
    parts.forecaster.forget()
    parts.nudger.nudge()
    return JSONResponse(shown)


async def kept(parts: Parts, project_id: str, inputs: Mapping[str, str]) -> dict[str, str]:
    """The inputs as their job keeps them; raises InvalidJob."""
    return await run_in_threadpool(
        keep_inputs, parts.database, parts.storage, project_id, inputs, parts.policy
    )


def reopen(parts: Parts, caller: Caller, job_id: str, body: RetryBody) -> dict[str, Any]:
    """The job as it is after it was opened again."""
    project_id = caller.project_id
    now = parts.database.now()
    with parts.database.transaction() as db:
        job = history.get_job(db, project_id, job_id)
        params = retried_params(job.operation, job.inputs, body)
        desk.retry(db, project_id, job_id, now, params=params)
        check_open(db, project_id, caller.limits)
        return show_job(db, project_id, job_id)
