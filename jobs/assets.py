"""Uploaded inputs: in the bucket, once for each content, before a job that needs them is let in."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import select

from jobs.catalog.images import read_image_facts
from jobs.db import Database, ensure
from jobs.models import Asset, new_id, table
from jobs.storage.keys import asset_key, extension_of
from jobs.storage.protocol import Storage

ASSET = table(Asset)

#: References that are not files on this machine.
REMOTE = ("asset:", "https://", "s3://", "data:", "job:")


def add_asset(database: Database, storage: Storage, project_id: str, path: Path) -> str:
    """Keep an image; returns its asset's id, an old one if these bytes are there already."""
    facts = read_image_facts(path)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    known = find_asset(database, project_id, sha256)
    if known is not None:
        return known
    key = asset_key(project_id, sha256, extension_of(facts.content_type))
    with path.open("rb") as file:
        storage.put(
            key,
            file,
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


def find_asset(database: Database, project_id: str, sha256: str) -> str | None:
    """The id of the asset with these bytes, or None."""
    with database.reading() as db:
        return db.execute(
            select(ASSET.c.id).where(ASSET.c.project_id == project_id, ASSET.c.sha256 == sha256)
        ).scalar()


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
