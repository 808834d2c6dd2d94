"""Uploaded inputs: in the bucket, once for each content, before a job that needs them is let in."""

import hashlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import Connection, Row, null, select

from jobs.catalog.images import read_image_facts
from jobs.db import Database, ensure
from jobs.durable import CHUNK_BYTES
from jobs.errors import NotFound
from jobs.models import Asset, new_id, table
from jobs.models_inputs import Upload
from jobs.storage.keys import asset_key, extension_of
from jobs.storage.protocol import Storage

ASSET = table(Asset)
UPLOAD = table(Upload)

#: What is known of an asset, and of one that was only announced.
COLUMNS = tuple(ASSET.c)
ANNOUNCED = tuple(
    UPLOAD.c[column.name] if column.name in UPLOAD.c else null().label(column.name)
    for column in ASSET.c
)

#: References that are not files on this machine.
REMOTE = ("asset:", "https://", "http://", "s3://", "data:", "job:")


def add_asset(database: Database, storage: Storage, project_id: str, path: Path) -> str:
    """Keep an image; returns its asset's id, an old one if these bytes are there already."""
    with path.open("rb") as file:
        return add_image(database, storage, project_id, file)


def add_image(
    database: Database,
    storage: Storage,
    project_id: str,
    source: BinaryIO,
    *,
    asset_id: str | None = None,
) -> str:
    """The same with a stream that can seek, read from its start; raises InvalidJob for no image.

    A new asset gets `asset_id`, or an id of its own.
    """
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
        "id": asset_id or new_id(),
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


def list_assets(db: Connection, project_id: str, *, limit: int = 50) -> list[Row[Any]]:
    """The newest assets, without what was only announced."""
    mine = select(*COLUMNS).where(ASSET.c.project_id == project_id)
    return list(db.execute(mine.order_by(ASSET.c.id.desc()).limit(limit)))


def get_asset(db: Connection, project_id: str, asset_id: str) -> Row[Any]:
    """An asset, or what was announced of it; raises NotFound."""
    found = assets_by_id(db, project_id, {asset_id}).get(asset_id)
    if found is None:
        raise NotFound(f"there is no asset {asset_id}")
    return found


def assets_by_id(db: Connection, project_id: str, ids: Collection[str]) -> dict[str, Row[Any]]:
    """The assets of the project among these, by the ids that were asked for.

    Of an upload whose file was not looked at yet there is what was announced, without `key`.
    """
    if not ids:
        return {}
    wanted = select(*COLUMNS).where(ASSET.c.project_id == project_id)
    found = {row.id: row for row in db.execute(wanted.where(ASSET.c.id.in_(ids)))}
    rest = set(ids) - found.keys()
    if not rest:
        return found
    mine = (UPLOAD.c.project_id == project_id, UPLOAD.c.id.in_(rest))
    announced = select(*ANNOUNCED).where(*mine, UPLOAD.c.asset_id.is_(None))
    found |= {row.id: row for row in db.execute(announced)}
    # Several uploads may have become one asset.
    same = select(UPLOAD.c.id.label("upload_id"), *COLUMNS).where(*mine)
    became = same.join(ASSET, ASSET.c.id == UPLOAD.c.asset_id)
    return found | {row.upload_id: row for row in db.execute(became)}


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
