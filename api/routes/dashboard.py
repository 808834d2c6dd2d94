"""`/`: the dashboard, a page that uses the public interface with its reader's key; and its files.

The page itself is no secret, so it asks for no key.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import PurePath
from typing import Annotated

from fastapi import Header
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.access import open_router

router = open_router("dashboard")

PAGE = "index.html"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
#: Own files and calls only; pictures are shown out of memory, as they ask for the key.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob:; media-src blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
IfNoneMatch = Annotated[str | None, Header()]


@dataclass(frozen=True)
class File:
    """A file as it is sent."""

    content: bytes
    content_type: str
    tag: str


def read_files() -> Mapping[str, File]:
    """The files of the package by their names; no other can be asked for."""
    found = {}
    for entry in files("api.dashboard").iterdir():
        content_type = TYPES.get(PurePath(entry.name).suffix)
        if content_type is not None:
            content = entry.read_bytes()
            tag = f'"{sha256(content).hexdigest()[:32]}"'
            found[entry.name] = File(content, content_type, tag)
    return found


FILES = read_files()


@router.get("/", include_in_schema=False)
async def show_page(if_none_match: IfNoneMatch = None) -> Response:
    """The page."""
    return sent(FILES[PAGE], if_none_match)


@router.get("/dashboard/{name}", include_in_schema=False)
async def show_file(name: str, if_none_match: IfNoneMatch = None) -> Response:
    """A file of the page."""
    found = FILES.get(name)
    if found is None or name == PAGE:
        raise HTTPException(404, "The dashboard has no such file; it is at /")
    return sent(found, if_none_match)


def sent(file: File, known: str | None) -> Response:
    """The file, unless the browser has it; it asks each time, so that versions never mix."""
    headers = {
        "cache-control": "no-cache",
        "content-security-policy": POLICY,
        "cross-origin-opener-policy": "same-origin",
        "etag": file.tag,
    }
    tags = {tag.strip().removeprefix("W/") for tag in (known or "").split(",")}
    if tags & {file.tag, "*"}:
        return Response(status_code=304, headers=headers)
    return Response(file.content, headers=headers, media_type=file.content_type)
