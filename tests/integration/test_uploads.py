"""What was sent to the bucket is the caller's only copy, until it is an asset."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from jobs.assets import get_asset
from jobs.db import Database
from jobs.errors import InvalidJob, StorageError
from jobs.models import DEFAULT_PROJECT
from jobs.storage.keys import upload_key
from jobs.storage.protocol import Storage
from jobs.uploads import UploadDesk


@pytest.fixture
def desk(sqlite_url: str, folder_storage: Storage) -> Iterator[UploadDesk]:
    database = Database(sqlite_url)
    yield UploadDesk(database, folder_storage)
    database.close()


def picture(shade: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (80, 64), (shade, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def announce(desk: UploadDesk, data: bytes) -> str:
    told = desk.announce(
        DEFAULT_PROJECT, "a.png", size_bytes=len(data), digest=sha256(data).hexdigest()
    )
    return told.asset_id


def send(desk: UploadDesk, upload_id: str, data: bytes) -> None:
    """As a caller who was given an address of the bucket."""
    desk.storage.put(
        upload_key(DEFAULT_PROJECT, upload_id),
        io.BytesIO(data),
        size=len(data),
        content_type="image/png",
        sha256=sha256(data).hexdigest(),
        metadata={},
    )


def is_lying(desk: UploadDesk, upload_id: str) -> bool:
    return desk.storage.head(upload_key(DEFAULT_PROJECT, upload_id)) is not None


@contextmanager
def bucket_fails(bucket: Path) -> Iterator[None]:
    """A file lies where the folder of all assets has to be."""
    blocked = bucket / DEFAULT_PROJECT / "assets"
    blocked.touch()
    yield
    blocked.unlink()


@contextmanager
def database_fails(desk: UploadDesk) -> Iterator[None]:
    """It refuses to change an upload."""
    refuse = "CREATE TRIGGER refuse BEFORE UPDATE ON upload BEGIN SELECT RAISE(ABORT, 'no'); END"
    with desk.database.transaction() as db:
        db.execute(text(refuse))
    yield
    with desk.database.transaction() as db:
        db.execute(text("DROP TRIGGER refuse"))


def test_what_was_sent_stays_until_the_bucket_and_the_database_have_taken_it(
    desk: UploadDesk, tmp_path: Path
) -> None:
    upload_id = announce(desk, picture())
    send(desk, upload_id, picture())

    with bucket_fails(tmp_path / "bucket"), pytest.raises(StorageError):
        desk.complete(DEFAULT_PROJECT, upload_id)
    assert is_lying(desk, upload_id)
    with database_fails(desk), pytest.raises(IntegrityError):
        desk.complete(DEFAULT_PROJECT, upload_id)
    assert is_lying(desk, upload_id)

    assert desk.complete(DEFAULT_PROJECT, upload_id) == upload_id
    assert not is_lying(desk, upload_id)
    with desk.database.reading() as db:
        assert get_asset(db, DEFAULT_PROJECT, upload_id).width == 80


@pytest.mark.parametrize("sent", [picture(shade=9), b"short"], ids=["other", "another size"])
def test_another_file_than_announced_is_not_kept(desk: UploadDesk, sent: bytes) -> None:
    upload_id = announce(desk, picture())
    send(desk, upload_id, sent)

    with pytest.raises(InvalidJob):
        desk.complete(DEFAULT_PROJECT, upload_id)

    assert not is_lying(desk, upload_id)
