"""The same promises on a folder and on S3."""

import errno
import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from types import MappingProxyType

import pytest
import requests

from jobs.errors import ObjectMissing, SettingsError, StorageError
from jobs.settings import read_settings
from jobs.storage import open_storage
from jobs.storage.folder import FolderStorage
from jobs.storage.keys import asset_key, attempt_prefix, extension_of, output_key
from jobs.storage.protocol import Storage, StoredObject
from tests.servers import free_port, wait_until

NOTHING: Mapping[str, str] = MappingProxyType({})
#: Larger than every buffer on the way.
LARGE = bytes(range(256)) * 4096 * 5


def store(
    storage: Storage, key: str, payload: bytes, metadata: Mapping[str, str] = NOTHING
) -> None:
    storage.put(
        key,
        BytesIO(payload),
        size=len(payload),
        content_type="image/png",
        sha256=hashlib.sha256(payload).hexdigest(),
        metadata=metadata,
    )


def store_final(storage: Storage, key: str, file: Path, *, size: int | None = None) -> None:
    """Put a file that nobody changes any more."""
    content = file.read_bytes()
    with file.open("rb") as source:
        storage.put(
            key,
            source,
            size=len(content) if size is None else size,
            content_type="image/png",
            sha256=hashlib.sha256(content).hexdigest(),
            metadata={},
            is_final=True,
        )


def read(storage: Storage, key: str) -> bytes:
    with storage.open(key) as stored:
        return stored.read()


def test_what_was_put_is_read_again(storage: Storage) -> None:
    metadata = {"seed": "42", "finish-reason": "SUCCESS", "note": " 50 %  Ärger, 日本\n"}

    store(storage, "p/a.png", LARGE, metadata)

    assert read(storage, "p/a.png") == LARGE
    assert storage.head("p/a.png") == StoredObject(
        key="p/a.png",
        size=len(LARGE),
        sha256=hashlib.sha256(LARGE).hexdigest(),
        content_type="image/png",
        metadata=metadata,
    )


def test_an_empty_object_is_an_object(storage: Storage) -> None:
    store(storage, "p/empty.png", b"")

    stored = storage.head("p/empty.png")
    assert stored is not None
    assert stored.size == 0
    assert read(storage, "p/empty.png") == b""


def test_an_object_can_be_read_in_pieces(storage: Storage) -> None:
    store(storage, "p/a.png", LARGE)

    with storage.open("p/a.png") as stored:
        pieces = [stored.read(7), stored.read(300_000), stored.read()]

    assert [len(piece) for piece in pieces[:2]] == [7, 300_000]
    assert b"".join(pieces) == LARGE


def test_putting_the_same_again_is_harmless(storage: Storage) -> None:
    store(storage, "p/a.png", b"bytes", {"seed": "1"})
    before = storage.head("p/a.png")

    store(storage, "p/a.png", b"bytes", {"seed": "1"})

    assert storage.head("p/a.png") == before
    assert list(storage.list("")) == ["p/a.png"]


@pytest.mark.parametrize("announced", [b"other", b"longer than that"], ids=["same size", "longer"])
def test_bytes_that_were_not_announced_are_not_kept(storage: Storage, announced: bytes) -> None:
    with pytest.raises(StorageError):
        storage.put(
            "p/a.png",
            BytesIO(b"bytes"),
            size=len(announced),
            content_type="image/png",
            sha256=hashlib.sha256(announced).hexdigest(),
            metadata={},
        )

    assert storage.head("p/a.png") is None
    assert list(storage.list("")) == []


def test_nothing_is_known_of_an_object_that_is_not_there(storage: Storage) -> None:
    assert storage.head("p/none.png") is None
    assert list(storage.list("p/")) == []
    with pytest.raises(StorageError):
        read(storage, "p/none.png")


def test_a_listing_holds_the_keys_that_begin_so(storage: Storage) -> None:
    keys = ["p/01jd/a/1-0.png", "p/01jd/a/1-1.png", "p/01jd/a/11-0.png", "q/01jd/a/1-0.png"]
    for key in keys:
        store(storage, key, b"bytes")

    assert sorted(storage.list("")) == keys
    assert sorted(storage.list("p/")) == keys[:3]
    assert sorted(storage.list("p/01jd/a/1-")) == keys[:2]
    assert sorted(storage.list("p/01jd/a/11-0.png")) == keys[2:3]
    assert sorted(storage.list("p/none/")) == []


def test_a_deleted_object_is_gone_and_may_be_deleted_again(storage: Storage) -> None:
    store(storage, "p/a.png", b"bytes")

    storage.delete("p/a.png")
    storage.delete("p/a.png")

    assert storage.head("p/a.png") is None
    assert list(storage.list("")) == []


def test_a_storage_that_works_passes_the_check_and_keeps_no_trace(storage: Storage) -> None:
    storage.check()

    assert list(storage.list("")) == []


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/etc/passwd",
        "../out.png",
        "p/../../out.png",
        "p//a.png",
        ".meta/a",
        "p/.a",
        "a\0b",
        "p/",
    ],
)
def test_a_key_that_leaves_the_bucket_is_refused(storage: Storage, key: str) -> None:
    with pytest.raises(ValueError, match="not a key"):
        store(storage, key, b"bytes")
    with pytest.raises(ValueError, match="not a key"):
        storage.head(key)


def test_a_link_that_leaves_the_folder_is_refused(folder_storage: Storage, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "bucket").mkdir()
    (tmp_path / "bucket" / "p").symlink_to(outside)

    with pytest.raises(ValueError, match="link"):
        store(folder_storage, "p/a.png", b"bytes")

    assert list(outside.iterdir()) == []


def test_the_folder_holds_pictures_and_nothing_else_that_shows(
    folder_storage: Storage, tmp_path: Path
) -> None:
    store(folder_storage, "p/a.png", b"bytes")

    visible = [path for path in (tmp_path / "bucket").iterdir() if not path.name.startswith(".")]
    assert visible == [tmp_path / "bucket" / "p"]
    assert sorted(path.name for path in visible[0].iterdir()) == [".a.png.json", "a.png"]
    assert list((tmp_path / "bucket" / ".incoming").iterdir()) == []


def test_a_final_file_is_shared_and_outlives_its_first_name(
    folder_storage: Storage, tmp_path: Path
) -> None:
    original = tmp_path / "original"
    original.write_bytes(b"bytes")

    for _ in range(2):
        store_final(folder_storage, "p/a.png", original)

    assert (tmp_path / "bucket" / "p" / "a.png").samefile(original)
    assert list((tmp_path / "bucket" / ".incoming").iterdir()) == []
    original.unlink()
    assert read(folder_storage, "p/a.png") == b"bytes"


def test_a_final_file_of_another_size_is_refused(folder_storage: Storage, tmp_path: Path) -> None:
    original = tmp_path / "original"
    original.write_bytes(b"bytes")

    with pytest.raises(StorageError, match="not what was announced"):
        store_final(folder_storage, "p/a.png", original, size=4)

    assert list(folder_storage.list("")) == []


def test_a_final_file_of_another_file_system_is_copied(
    folder_storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = tmp_path / "original"
    original.write_bytes(b"bytes")

    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    store_final(folder_storage, "p/a.png", original)

    assert read(folder_storage, "p/a.png") == b"bytes"
    assert not (tmp_path / "bucket" / "p" / "a.png").samefile(original)


def test_what_a_killed_writer_left_is_deleted_when_it_is_old(tmp_path: Path) -> None:
    # Given a bucket with an object, and a writer who dies while it waits for bytes,
    storage, incoming = FolderStorage(tmp_path), tmp_path / ".incoming"
    store(storage, "p/whole.png", b"bytes")
    program = (
        "import pathlib, sys; from jobs.storage.folder import FolderStorage;"
        f"FolderStorage(pathlib.Path({str(tmp_path)!r})).put('p/a.png', sys.stdin.buffer,"
        " size=5, content_type='image/png', sha256='0' * 64, metadata={})"
    )
    path = {"PYTHONPATH": ":".join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, env=path) as one:
        wait_until(lambda: any(incoming.iterdir()), "the writer has begun")
        one.kill()

    # when it is young it stays, and it goes when it is old.
    storage.clean(timedelta(hours=1))
    assert len(list(incoming.iterdir())) == 1
    storage.clean(timedelta(0))
    assert list(incoming.iterdir()) == []
    assert read(storage, "p/whole.png") == b"bytes"


def test_a_file_that_a_person_put_there_is_an_object(
    folder_storage: Storage, tmp_path: Path
) -> None:
    (tmp_path / "bucket").mkdir()
    (tmp_path / "bucket" / "mine.png").write_bytes(b"bytes")

    stored = folder_storage.head("mine.png")

    assert stored is not None
    assert stored.sha256 == hashlib.sha256(b"bytes").hexdigest()
    assert stored.content_type == "image/png"


def test_a_folder_gives_no_addresses(folder_storage: Storage) -> None:
    store(folder_storage, "p/a.png", b"bytes")

    assert folder_storage.url("p/a.png", timedelta(minutes=1)) is None


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "bucket").write_text("a file where the folder should be")

    with pytest.raises(StorageError, match="in the folder: "):
        FolderStorage(tmp_path / "bucket").check()


def test_an_address_of_s3_opens_without_credentials(s3_storage: Storage) -> None:
    store(s3_storage, "p/a.png", b"bytes")

    address = s3_storage.url("p/a.png", timedelta(days=30))

    assert address is not None
    assert "X-Amz-Expires=604800&" in address
    assert requests.get(address, timeout=10).content == b"bytes"


def test_the_prefix_is_honoured(s3_storage: Storage, s3: dict[str, str]) -> None:
    whole = open_storage(read_settings())

    store(s3_storage, "p/a.png", b"bytes")
    store(whole, "elsewhere/a.png", b"bytes")

    assert sorted(whole.list("")) == ["elsewhere/a.png", "ours/p/a.png"]
    assert list(s3_storage.list("")) == ["p/a.png"]


def test_a_bucket_that_is_not_there_says_so(s3: dict[str, str]) -> None:
    storage = open_storage(read_settings(s3_bucket="no-such-bucket"))

    with pytest.raises(
        StorageError, match=r"no-such-bucket: 127\.0\.0\.1:\d+ answered NoSuchBucket"
    ):
        storage.check()


def test_an_object_that_is_not_there_is_told_apart_from_a_bucket_that_is_not(
    storage: Storage,
) -> None:
    with pytest.raises(ObjectMissing, match=r"p/gone\.png"):
        storage.open("p/gone.png")


def test_missing_credentials_are_named(s3: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")

    with pytest.raises(StorageError, match="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        open_storage(read_settings()).check()


def test_a_server_that_is_not_there_says_so(
    s3: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a server that does not listen, and no patience for it
    monkeypatch.setattr("jobs.storage.s3.TRIES", 1)
    port = free_port()
    storage = open_storage(read_settings(s3_endpoint_url=f"http://user:pass@127.0.0.1:{port}"))

    with pytest.raises(StorageError, match=f"127.0.0.1:{port} does not answer") as caught:
        storage.check()

    assert "pass" not in str(caught.value)


def test_an_endpoint_that_is_no_address_stops_the_start(s3: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="S3_ENDPOINT_URL"):
        open_storage(read_settings(s3_endpoint_url="not an address"))


def test_a_folder_needs_no_boto3(tmp_path: Path) -> None:
    program = (
        "import sys, jobs.storage, jobs.settings;"
        "jobs.storage.open_storage(jobs.settings.read_settings()).check();"
        "sys.exit('boto3' in sys.modules)"
    )

    finished = subprocess.run(
        [sys.executable, "-c", program],
        env={"DARKROOM_HOME": str(tmp_path), "PYTHONPATH": ":".join(sys.path)},
        check=False,
    )

    assert finished.returncode == 0
    assert (tmp_path / "bucket").is_dir()


def test_keys_say_project_time_job_and_attempt() -> None:
    job_id = "01jdx4ab6cdefghjkmnpqrstvw"

    assert output_key("acme", job_id, 2, 0, "png") == f"acme/01jd/x4/{job_id}-2-0.png"
    assert output_key("acme", job_id, 2, 0, "png").startswith(attempt_prefix("acme", job_id, 2))
    assert not output_key("acme", job_id, 21, 0, "png").startswith(
        attempt_prefix("acme", job_id, 2)
    )
    assert asset_key("acme", "ab" * 32, "jpg") == f"acme/assets/ab/{'ab' * 32}.jpg"


@pytest.mark.parametrize(
    ("content_type", "extension"),
    [
        ("image/png", "png"),
        ("image/jpeg", "jpg"),
        ("IMAGE/WebP; q=1", "webp"),
        ("video/mp4", "mp4"),
        ("model/gltf-binary", "glb"),
        ("application/x-unheard-of", "bin"),
        ("", "bin"),
    ],
)
def test_a_type_has_its_usual_ending(content_type: str, extension: str) -> None:
    assert extension_of(content_type) == extension
