"""What was sent to the bucket is the caller's only copy, until it is an asset."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import text, update
from sqlalchemy.exc import IntegrityError

from jobs.assets import assets_by_id, get_asset
from jobs.db import Database
from jobs.errors import InvalidJob, StorageError
from jobs.models import DEFAULT_PROJECT
from jobs.storage.keys import upload_key
from jobs.storage.protocol import Storage
from jobs.uploads import UPLOAD, UploadDesk


@pytest.fixture
def desk(sqlite_url: str, folder_storage: Storage) -> Iterator[UploadDesk]:
    database = Database(sqlite_url)
    yield UploadDesk(database, folder_storage)
    database.close()


@pytest.fixture
def both(database: Database, folder_storage: Storage) -> UploadDesk:
    """A desk on each database."""
    return UploadDesk(database, folder_storage)


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


def test_one_file_that_was_announced_several_times_is_an_asset_by_each_id(
    both: UploadDesk,
) -> None:
    ids = [announce(both, picture()) for _ in range(3)]

    for upload_id in ids:
        send(both, upload_id, picture())
        both.complete(DEFAULT_PROJECT, upload_id)

    with both.database.reading() as db:
        found = assets_by_id(db, DEFAULT_PROJECT, ids)
    assert {upload_id: asset.id for upload_id, asset in found.items()} == dict.fromkeys(ids, ids[0])


def test_what_is_sent_again_is_deleted_when_nothing_can_be_sent_any_more(
    both: UploadDesk,
) -> None:
    # Given two uploads that are one asset, and callers who sent the file again,
    ids = [announce(both, picture()) for _ in range(2)]
    for upload_id in ids:
        send(both, upload_id, picture())
        both.complete(DEFAULT_PROJECT, upload_id)
        send(both, upload_id, picture())
    assert both.forget() == 0

    # when their forms are no good any more,
    with both.database.transaction() as db:
        db.execute(update(UPLOAD).values(created_at=both.database.now() - timedelta(days=2)))
    assert (both.forget(), both.forget()) == (2, 0)

    # then nothing lies there, and the ids are as good as before.
    assert not any(is_lying(both, upload_id) for upload_id in ids)
    with both.database.reading() as db:
        assert assets_by_id(db, DEFAULT_PROJECT, ids).keys() == set(ids)
    assert [both.complete(DEFAULT_PROJECT, upload_id) for upload_id in ids] == [ids[0]] * 2
