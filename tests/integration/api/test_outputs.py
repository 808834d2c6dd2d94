"""What jobs made: through the interface itself, and as thumbnails."""

import io
from hashlib import sha256

import pytest
from PIL import Image
from sqlalchemy import insert

from api import thumbnails
from jobs.db import Database
from jobs.models import Output, new_id, table
from jobs.settings import Settings
from jobs.states import JobState
from jobs.storage import open_storage
from tests.factories import make_job
from tests.integration.api.serving import Client


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """One is enough: what is looked at are bytes."""
    return sqlite_url


def store(database: Database, settings: Settings, content: bytes, content_type: str) -> str:
    """A job of the project `acme` with this output; gives the output's address."""
    job_id, key = new_id(), f"acme/{new_id()}"
    digest, size = sha256(content).hexdigest(), len(content)
    open_storage(settings).put(
        key,
        io.BytesIO(content),
        size=size,
        content_type=content_type,
        sha256=digest,
        metadata={},
    )
    row = {"job_id": job_id, "number": 0, "attempt_id": job_id, "key": key, "sha256": digest}
    with database.transaction() as db:
        make_job(db, JobState.SUCCEEDED, id=job_id, project_id="acme")
        db.execute(insert(table(Output)), row | {"content_type": content_type, "bytes": size})
    return f"/v1/jobs/{job_id}/outputs/0"


def picture(form: str, mode: str = "RGB", size: tuple[int, int] = (900, 600)) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size).save(file, form)
    return file.getvalue()


@pytest.mark.parametrize(
    ("form", "mode"),
    [("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "P"), ("PNG", "L"), ("JPEG", "RGB"), ("WEBP", "RGB")],
)
def test_a_picture_has_a_small_copy(
    form: str, mode: str, client: Client, database: Database, settings: Settings
) -> None:
    path = store(database, settings, picture(form, mode), f"image/{form.lower()}")

    answer = client.get(f"{path}/thumbnail")

    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")
    with Image.open(io.BytesIO(answer.content)) as small:
        assert small.size == (384, 256)


def test_a_small_picture_is_not_enlarged(
    client: Client, database: Database, settings: Settings
) -> None:
    path = store(database, settings, picture("PNG", size=(64, 48)), "image/png")

    answer = client.get(f"{path}/thumbnail")

    with Image.open(io.BytesIO(answer.content)) as small:
        assert small.size == (64, 48)


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"moving", "video/mp4"),
        (b"\x89PNG\r\n\x1a\nno more", "image/png"),
        (b"", "image/png"),
        (picture("BMP"), "image/png"),
    ],
    ids=["a film", "a damaged picture", "nothing", "another kind of picture"],
)
def test_what_is_no_picture_has_none(
    content: bytes, content_type: str, client: Client, database: Database, settings: Settings
) -> None:
    path = store(database, settings, content, content_type)

    answer = client.get(f"{path}/thumbnail")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("bound", ["MOST_BYTES", "MOST_PIXELS"])
def test_what_would_fill_the_memory_has_none(
    bound: str,
    client: Client,
    database: Database,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = store(database, settings, picture("PNG"), "image/png")
    monkeypatch.setattr(thumbnails, bound, 100)

    assert client.get(f"{path}/thumbnail").status_code == 404


def test_an_output_that_is_not_there_has_none(
    client: Client, database: Database, settings: Settings
) -> None:
    path = store(database, settings, picture("PNG"), "image/png")

    assert client.get(path.replace("outputs/0", "outputs/1/thumbnail")).status_code == 404


@pytest.mark.usefixtures("s3")
def test_the_bytes_come_through_the_interface_where_that_is_asked_for(
    client: Client, database: Database, settings: Settings
) -> None:
    content = picture("PNG")
    path = store(database, settings, content, "image/png")

    answer = client.get(path)
    direct = client.get(f"{path}?redirect=false")
    small = client.get(f"{path}/thumbnail")

    assert answer.status_code == 302
    assert (direct.status_code, direct.content) == (200, content)
    assert small.status_code == 200
