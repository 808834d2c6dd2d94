"""`/v1/batches/{id}/export`: a batch as a dataset, also while it runs."""

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from api.access import Known, router_for
from api.parts import UsesParts
from api.paths import Id
from api.streams import Streamed
from jobs import batches
from jobs.dataset.form import Form
from jobs.dataset.item import Item, ItemOutput
from jobs.dataset.parquet import parquet_stream
from jobs.dataset.stored import BatchItems
from jobs.dataset.stream import failed_lines, imagefolder_stream, metadata_lines, tar_of
from jobs.dataset.webdataset import webdataset_stream
from jobs.keys import Scope
from jobs.storage.protocol import Storage

router = router_for(Scope.READ, "batches")

#: Long enough to fetch a large batch by its links.
LINK_LIFE = timedelta(hours=12)
#: Lines are sent together up to this size.
PIECE_BYTES = 64 * 1024

NDJSON = "application/x-ndjson"
TAR = "application/x-tar"
TABLE = "application/vnd.apache.parquet"
TEXT = {"schema": {"type": "string"}}
BYTES = {"schema": {"type": "string", "format": "binary"}}


class Format(StrEnum):
    """How a batch is exported."""

    #: A tar with the files, `metadata.jsonl`, `failed.jsonl` and `dataset.json`.
    FILES = Form.FILES
    #: The same with pictures only, for the loader of that name.
    IMAGEFOLDER = Form.IMAGEFOLDER
    #: A tar that is one shard.
    WEBDATASET = Form.WEBDATASET
    #: One table with the files in it.
    PARQUET = Form.PARQUET
    #: The lines of `metadata.jsonl`, each with the `url` of its file.
    JSONL = "jsonl"
    #: The jobs that made nothing, as `darkroom run` takes them again.
    FAILED = "failed"


#: How the name of each download ends, and what it is.
DOWNLOADS = {
    Format.FILES: ("tar", TAR),
    Format.IMAGEFOLDER: ("tar", TAR),
    Format.WEBDATASET: ("tar", TAR),
    Format.PARQUET: ("parquet", TABLE),
    Format.JSONL: ("jsonl", NDJSON),
    Format.FAILED: ("failed.jsonl", NDJSON),
}

ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The dataset",
        "content": {TAR: BYTES, TABLE: BYTES, NDJSON: TEXT},
    }
}


@router.get("/v1/batches/{batch_id}/export", response_class=Response, responses=ANSWERS)
def export_batch(
    batch_id: Id,
    request: Request,
    caller: Known,
    parts: UsesParts,
    form: Annotated[
        Format, Query(alias="format", description="A tar, a table, links, or what failed.")
    ] = Format.FILES,
) -> Streamed:
    """Export what a batch has made by now, as a stream of any length."""
    with parts.database.reading() as db:
        batch = batches.get_batch(db, caller.project_id, batch_id)
    items = BatchItems(parts.database, batch_id)
    about = {"batch_id": batch.id, "batch": batch.name, **batch.about}
    fetch = parts.storage.open
    match form:
        case Format.FILES:
            stream = tar_of(items, fetch, about, batch.created_at)
        case Format.IMAGEFOLDER:
            stream = imagefolder_stream(items, fetch, about, batch.created_at)
        case Format.WEBDATASET:
            stream = webdataset_stream(items, fetch)
        case Format.PARQUET:
            stream = parquet_stream(items, fetch)
        case Format.JSONL:
            stream = together(metadata_lines(items, linker(parts.storage, str(request.base_url))))
        case Format.FAILED:
            stream = together(failed_lines(items))
    ending, content_type = DOWNLOADS[form]
    name = f"{batch_id}.{ending}"
    return parts.streams.answer(stream, items.unwanted, name=name, content_type=content_type)


def together(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The lines, many at a time: each piece costs a turn of a thread."""
    piece = bytearray()
    for line in lines:
        piece += line
        if len(piece) >= PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)


def linker(storage: Storage, base: str) -> Callable[[Item, ItemOutput], str]:
    """Where each file is fetched: at the bucket for some hours, or here with a key."""

    def link(item: Item, output: ItemOutput) -> str:
        signed = storage.url(output.key, LINK_LIFE)
        return signed or f"{base}v1/jobs/{item.job_id}/outputs/{output.index}"

    return link
