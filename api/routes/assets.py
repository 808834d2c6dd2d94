"""`/v1/assets`: input images, kept once for each content."""

from typing import Annotated

from fastapi import File, UploadFile
from starlette.responses import JSONResponse

from api.access import Known, router_for
from api.answers import AssetAnswer
from api.parts import UsesParts
from api.paths import Id
from jobs.assets import add_image, get_asset
from jobs.catalog.images import MAX_REQUEST_BYTES
from jobs.keys import Scope
from jobs.public import asset_public

#: Around the file in a form.
FORM_BYTES = 64 * 1024

reading = router_for(Scope.READ, "assets")
uploading = router_for(Scope.SUBMIT, "assets", body_bytes=MAX_REQUEST_BYTES + FORM_BYTES)


@uploading.post("/v1/assets", status_code=201, response_model=AssetAnswer)
def upload_asset(
    file: Annotated[UploadFile, File(description="A PNG, JPEG or WebP image up to 10 MiB.")],
    caller: Known,
    parts: UsesParts,
) -> JSONResponse:
    """Keep an image; the same bytes again are the same asset."""
    asset_id = add_image(parts.database, parts.storage, caller.project_id, file.file)
    with parts.database.reading() as db:
        asset = get_asset(db, caller.project_id, asset_id)
    return JSONResponse(asset_public(asset), 201, {"location": f"/v1/assets/{asset_id}"})


@reading.get("/v1/assets/{asset_id}", response_model=AssetAnswer)
def show_asset(asset_id: Id, caller: Known, parts: UsesParts) -> JSONResponse:
    """One asset."""
    with parts.database.reading() as db:
        return JSONResponse(asset_public(get_asset(db, caller.project_id, asset_id)))
