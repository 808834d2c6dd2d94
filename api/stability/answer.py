"""A job as it is by now -> Stability's answer."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api.parts import Parts
from api.stability.ids import generation_id
from api.stability.outputs import answer_with
from api.stability.shape import PREFIX, own_path, refused
from api.stability.verdicts import verdict_on
from api.stability.waiting import Seen
from jobs.catalog.operation import ANY_RESULT, Operation
from jobs.errors import ObjectMissing, StorageError
from jobs.states import FINAL, JobState

#: The job behind an answer, by our own id, for `/v1/jobs`.
JOB_HEADER = "darkroom-job"


def answer_to(
    parts: Parts, request: Request, operation: Operation, seen: Seen, *, as_json: bool
) -> Response:
    """The outputs, or why there are none, or that it goes on."""
    job = seen.job
    if seen.outputs and job.state in {JobState.SUCCEEDED, JobState.FILTERED}:
        try:
            answer: Response = answer_with(parts.storage, operation, seen.outputs, as_json=as_json)
        except ObjectMissing:
            raise
        except StorageError as error:
            raise StorageError(f"{error} The result is kept: {place_of(job.id)}") from error
    elif job.state in FINAL or job.state == JobState.HELD:
        verdict = verdict_on(own_path(request), job.id, job.state, job.error)
        answer = refused(
            request, status=verdict.status, name=verdict.name, sentences=[verdict.sentence]
        )
    else:
        return in_progress(job.id)
    answer.headers[JOB_HEADER] = job.id
    return answer


def in_progress(job_id: str) -> JSONResponse:
    """That the job is not at its end, and where its result will be."""
    body = {"id": generation_id(job_id), "status": "in-progress"}
    return JSONResponse(body, 202, {JOB_HEADER: job_id, "location": place_of(job_id)})


def accepted(job_id: str) -> JSONResponse:
    """The answer of an asynchronous operation; 200, as the documents say."""
    return JSONResponse({"id": generation_id(job_id)}, headers={JOB_HEADER: job_id})


def place_of(job_id: str) -> str:
    """Where the result of any job is fetched."""
    return PREFIX + ANY_RESULT.format(id=generation_id(job_id))
