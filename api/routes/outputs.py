"""`/v1/jobs/{id}/outputs/{n}`: the files that jobs made."""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Annotated, Any, BinaryIO

from fastapi import Path, Query
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import Row
from starlette.responses import RedirectResponse, Response, StreamingResponse

from api.access import Known, router_for
from api.answers import PROBLEMS
from api.parts import Parts, UsesParts
from api.paths import Id
from api.thumbnails import CONTENT_TYPE
from jobs import history
from jobs.durable import CHUNK_BYTES
from jobs.errors import NotFound
from jobs.keys import Scope
from jobs.storage.keys import extension_of

router = router_for(Scope.READ, "jobs")

#: Long enough to follow the redirect at once, and too short to pass the address on.
ADDRESS_LIFE = timedelta(minutes=5)
BYTES = {"content": {"application/octet-stream": {"schema": {"type": "string"}}}}
PICTURE = {"content": {CONTENT_TYPE: {"schema": {"type": "string", "format": "binary"}}}}

Number = Annotated[int, Path(ge=0, le=10_000)]


@router.get(
    "/v1/jobs/{job_id}/outputs/{number}",
    response_class=Response,
    responses={
        200: {"description": "The bytes", **BYTES},
        302: {"description": "To the bytes"},
        410: {"description": "The bucket has lost them", "content": PROBLEMS[404]["content"]},
    },
)
def get_output(
    job_id: Id,
    number: Number,
    caller: Known,
    parts: UsesParts,
    redirect: Annotated[
        bool, Query(description="With false the bytes come from here, wherever they lie.")
    ] = True,
) -> Response:
    """A file: a redirect to the bucket, or the bytes where the bucket is a folder."""
    found = find_output(parts, caller.project_id, job_id, number)
    if redirect and (address := parts.storage.url(found.key, ADDRESS_LIFE)) is not None:
        return RedirectResponse(address, 302)
    name = f"{job_id}-{number}.{extension_of(found.content_type)}"
    headers = {
        "content-length": str(found.bytes),
        "content-disposition": f'inline; filename="{name}"',
        "etag": f'"{found.sha256}"',
    }
    stream = parts.storage.open(found.key)
    return StreamingResponse(pieces(stream), 200, headers, found.content_type)


@router.get(
    "/v1/jobs/{job_id}/outputs/{number}/thumbnail",
    response_class=Response,
    responses={200: {"description": "A small picture", **PICTURE}},
)
async def get_thumbnail(job_id: Id, number: Number, caller: Known, parts: UsesParts) -> Response:
    """A small copy of a picture, as WebP; what is no picture has none (404)."""
    found = await run_in_threadpool(find_output, parts, caller.project_id, job_id, number)
    return Response(await parts.thumbnails.of(found), media_type=CONTENT_TYPE)


def find_output(parts: Parts, project_id: str, job_id: str, number: int) -> Row[Any]:
    """One output of a job; raises NotFound."""
    with parts.database.reading() as db:
        history.get_job(db, project_id, job_id)
        outputs = history.outputs_of(db, [job_id]).get(job_id, [])
    found = next((output for output in outputs if output.number == number), None)
    if found is None:
        raise NotFound(f"the job has no output {number}")
    return found


def pieces(stream: BinaryIO) -> Iterator[bytes]:
    """The stream's bytes, some at a time."""
    with closing(stream):
        while piece := stream.read(CHUNK_BYTES):
            yield piece
