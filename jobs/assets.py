"""Uploaded inputs: in the bucket, once for each content, before a job that needs them is let in."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import Connection, Row, select

from jobs.catalog.images import read_image_facts
from jobs.db import Database, ensure
from jobs.durable import CHUNK_BYTES
from jobs.errors import NotFound
from jobs.models import Asset, new_id, table
from jobs.storage.keys import asset_key, extension_of
from jobs.storage.protocol import Storage

ASSET = table(Asset)

#: References that are not files on this machine.
REMOTE = ("asset:", "https://", "s3://", "data:", "job:")


def add_asset(database: Database, storage: Storage, project_id: str, path: Path) -> str:
    """Keep an image; returns its asset's id, an old one if these bytes are there already."""
    with path.open("rb") as file:
        return add_image(database, storage, project_id, file)


def add_image(database: Database, storage: Storage, project_id: str, source: BinaryIO) -> str:
    """The same with a stream that can seek, read from its start; raises InvalidJob for no image."""
    source.seek(0)
    facts = read_image_facts(source)
    sha256 = digest_of(source)
    known = find_asset(database, project_id, sha256)
    if known is not None:
        return known
    key = asset_key(project_id, sha256, extension_of(facts.content_type))
    source.seek(0)
    storage.put(
        key,
        source,
        size=facts.bytes,
        content_type=facts.content_type,
        sha256=sha256,
        metadata={},
    )
    row = {
        "id": new_id(),
        "project_id": project_id,
        "sha256": sha256,
        "key": key,
        "content_type": facts.content_type,
        "bytes": facts.bytes,
        "width": facts.width,
        "height": facts.height,
        "created_at": database.now(),
    }
    with database.transaction() as db:
        ensure(db, ASSET, row)
    found = find_asset(database, project_id, sha256)
    assert found is not None
    return found


def digest_of(source: BinaryIO) -> str:
    """The sha256 of all that is left of a stream, which is never whole in memory."""
    digest = hashlib.sha256()
    while chunk := source.read(CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def find_asset(database: Database, project_id: str, sha256: str) -> str | None:
    """The id of the asset with these bytes, or None."""
    with database.reading() as db:
        return db.execute(
            select(ASSET.c.id).where(ASSET.c.project_id == project_id, ASSET.c.sha256 == sha256)
        ).scalar()


def get_asset(db: Connection, project_id: str, asset_id: str) -> Row[Any]:
    """An asset; raises NotFound."""
    found = db.execute(
        select(ASSET).where(ASSET.c.id == asset_id, ASSET.c.project_id == project_id)
    ).one_or_none()
    if found is None:
        raise NotFound(f"there is no asset {asset_id}")
    return found


class Uploads:
    """Turns local paths into assets, each path once."""

    def __init__(self, add: Callable[[Path], str]) -> None:
        self._add = add
        self._known: dict[str, str] = {}

    def reference(self, value: str) -> str:
        """A path's asset; any other reference as it is."""
        if value.startswith(REMOTE):
            return value
        if value not in self._known:
            self._known[value] = "asset:" + self._add(Path(value))
        return self._known[value]
