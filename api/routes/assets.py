"""`/v1/assets`: input images, kept once for each content; sent to us, or past us to the bucket."""

import tempfile
from typing import Annotated, Any, BinaryIO, cast

from fastapi import Query
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse

from api.access import Known, limited, open_router, router_for
from api.answers import PROBLEMS, AssetAnswer
from api.bodies import Announcement
from api.parts import Parts, UsesParts
from api.paths import Id
from api.problems import InvalidRequest
from jobs.assets import add_image, get_asset
from jobs.catalog.images import MAX_REQUEST_BYTES
from jobs.errors import Fault
from jobs.keys import Scope
from jobs.public import asset_public, when
from jobs.uploads import Announced

#: Around the file in a form.
FORM_BYTES = 64 * 1024

reading = router_for(Scope.READ, "assets")
uploading = router_for(Scope.SUBMIT, "assets", body_bytes=MAX_REQUEST_BYTES + FORM_BYTES)
#: Whoever has the ticket of one upload may send that one file, once.
sending = open_router("assets")

FORM = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "file": {
            "type": "string",
            "format": "binary",
            "description": "A PNG, JPEG or WebP image up to 10 MiB.",
        }
    },
}
EITHER = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": FORM},
            "application/json": {"schema": Announcement.model_json_schema()},
        },
    }
}
BYTES = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
NO_FILE = Fault(field="file", code="missing", message="send the image as the form's field `file`")


@uploading.post("/v1/assets", status_code=201, response_model=AssetAnswer, openapi_extra=EITHER)
async def upload_asset(request: Request, caller: Known, parts: UsesParts) -> JSONResponse:
    """Keep an image, sent as a form; the same bytes again are the same asset. With a JSON body
    instead, `{filename, bytes, sha256}`, the answer's `upload` says where to send the file; from
    then on its id may be used, and the first use looks at the file."""
    if request.headers.get("content-type", "").partition(";")[0].strip() == "application/json":
        announcement = await announcement_in(request)
        await parts.meter.count(caller, size_bytes=announcement.bytes, is_request=False)
        shown = await run_in_threadpool(announce, request, parts, caller.project_id, announcement)
    else:
        async with request.form(max_files=1, max_fields=1) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise InvalidRequest([NO_FILE])
            shown = await run_in_threadpool(keep, parts, caller.project_id, file.file)
    return JSONResponse(shown, 201, {"location": f"/v1/assets/{shown['id']}"})


@reading.get("/v1/assets/{asset_id}", response_model=AssetAnswer)
def show_asset(asset_id: Id, caller: Known, parts: UsesParts) -> JSONResponse:
    """One asset. Of one that was only announced, `width` and `height` are null."""
    return JSONResponse(show(parts, caller.project_id, asset_id))


@uploading.post("/v1/assets/{asset_id}/complete", response_model=AssetAnswer)
def complete_upload(asset_id: Id, caller: Known, parts: UsesParts) -> JSONResponse:
    """Look at an announced file now, and not at its first use. 409: it is not there yet."""
    parts.uploads.complete(caller.project_id, asset_id)
    return JSONResponse(show(parts, caller.project_id, asset_id))


@sending.put(
    "/v1/assets/{asset_id}/content",
    response_model=AssetAnswer,
    responses=PROBLEMS,
    openapi_extra=BYTES,
)
async def send_content(
    asset_id: Id,
    ticket: Annotated[str, Query(min_length=1, max_length=100)],
    request: Request,
    parts: UsesParts,
) -> JSONResponse:
    """Send an announced file, where the bucket takes none itself. The ticket stands for a key, and
    is good for one file."""
    upload = await run_in_threadpool(parts.uploads.admit, asset_id, ticket)
    body = Request(request.scope, limited(request, upload.bytes))
    with tempfile.TemporaryFile() as file:
        async for chunk in body.stream():
            file.write(chunk)
        await run_in_threadpool(parts.uploads.accept, upload, cast(BinaryIO, file))
    return JSONResponse(await run_in_threadpool(show, parts, upload.project_id, asset_id))


async def announcement_in(request: Request) -> Announcement:
    """The body of the other kind; raises RequestValidationError."""
    try:
        return Announcement.model_validate_json(await request.body())
    except ValidationError as error:
        faults = [{**item, "loc": ("body", *item["loc"])} for item in error.errors()]
        raise RequestValidationError(faults) from error


def announce(
    request: Request, parts: Parts, project_id: str, wanted: Announcement
) -> dict[str, Any]:
    """The asset that will be, with the way to send it."""
    announced = parts.uploads.announce(
        project_id, wanted.filename, size_bytes=wanted.bytes, digest=wanted.sha256
    )
    own = f"{request.base_url}v1/assets/{announced.asset_id}/content?ticket={announced.ticket}"
    return show(parts, project_id, announced.asset_id) | {"upload": way_to_send(announced, own)}


def way_to_send(announced: Announced, own: str) -> dict[str, Any] | None:
    """How to send an announced file, to the bucket or else to our `own` address."""
    if announced.is_here:
        return None
    shown = {"fields": dict(announced.fields), "expires_at": when(announced.expires_at)}
    if announced.url is not None:
        return shown | {"method": "POST", "url": announced.url, "headers": {}}
    headers = {"content-type": announced.content_type}
    return shown | {"method": "PUT", "url": own, "headers": headers}


def keep(parts: Parts, project_id: str, file: BinaryIO) -> dict[str, Any]:
    """The asset that the file is from now on."""
    return show(parts, project_id, add_image(parts.database, parts.storage, project_id, file))


def show(parts: Parts, project_id: str, asset_id: str) -> dict[str, Any]:
    """An asset; raises NotFound."""
    with parts.database.reading() as db:
        return asset_public(get_asset(db, project_id, asset_id))
