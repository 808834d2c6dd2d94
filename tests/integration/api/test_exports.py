"""A batch as a dataset over HTTP."""

import io
import json
import os
import socket
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from sqlalchemy import event, insert

from api.streams import BEGINNING_AT_ONCE, Streamed, Streams
from jobs import history
from jobs.dataset import Form, export_dataset, export_files
from jobs.dataset.stored import BatchItems
from jobs.db import Database
from jobs.manifest import Expansion, rows
from jobs.models import Output, table
from jobs.settings import Settings
from jobs.states import JobState
from jobs.storage import open_storage
from jobs.storage.protocol import Storage
from tests.factories import make_batch, make_job
from tests.integration.api.serving import Client
from tests.servers import wait_until

#: Longer than a piece that is read at once, and not a multiple of a tar's blocks.
CONTENT = bytes(range(256)) * 2000 + b"end"

JobMaker = Callable[..., str]


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """One is enough: what is asked of it is tested elsewhere."""
    return sqlite_url


@pytest.fixture
def bucket(settings: Settings) -> Storage:
    return open_storage(settings)


@pytest.fixture
def batch_id(database: Database) -> str:
    with database.transaction() as db:
        return make_batch(db, project_id="acme", name="hares")


@pytest.fixture
def make(database: Database, bucket: Storage, batch_id: str) -> JobMaker:
    """Makes a row of the batch, with so many outputs."""

    def make(row: int, state: JobState = JobState.SUCCEEDED, outputs: int = 1) -> str:
        with database.transaction() as db:
            job_id = make_job(
                db,
                state,
                project_id="acme",
                batch_id=batch_id,
                row=row,
                operation="generate/core",
                params={"prompt": f"hare {row}"},
            )
            for number in range(outputs):
                db.execute(insert(table(Output)), put(bucket, job_id, number))
        return job_id

    return make


def put(bucket: Storage, job_id: str, number: int) -> dict[str, Any]:
    """An output's row, with its bytes in the bucket."""
    content, key = f"{job_id}-{number}".encode() + CONTENT, f"acme/{job_id}-{number}.png"
    known = {"content_type": "image/png", "sha256": sha256(content).hexdigest()}
    bucket.put(key, io.BytesIO(content), size=len(content), metadata={}, **known)
    return {
        "job_id": job_id,
        "number": number,
        "attempt_id": job_id,
        "key": key,
        "bytes": len(content),
        **known,
    }


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_tar_holds_what_an_export_into_a_folder_writes(
    client: Client,
    make: JobMaker,
    batch_id: str,
    database: Database,
    bucket: Storage,
    tmp_path: Path,
) -> None:
    for row in (0, 1, 10_000):
        make(row, outputs=2)
    make(2, JobState.FAILED, outputs=0)
    make(3, JobState.QUEUED, outputs=0)

    answer = client.get(f"/v1/batches/{batch_id}/export")
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
        archive.extractall(tmp_path / "streamed", filter="data")

    about = {"batch_id": batch_id, "batch": "hares"}
    export_files(BatchItems(database, batch_id), bucket.open, tmp_path / "written", about)
    assert answer.headers["content-type"] == "application/x-tar"
    assert answer.headers["content-disposition"] == f'attachment; filename="{batch_id}.tar"'
    assert files_in(tmp_path / "streamed") == files_in(tmp_path / "written")
    assert json.loads((tmp_path / "streamed/dataset.json").read_bytes())["complete"] is False


@pytest.mark.parametrize("form", [Form.WEBDATASET, Form.PARQUET])
def test_samples_are_streamed_as_one_shard(
    client: Client,
    make: JobMaker,
    batch_id: str,
    database: Database,
    bucket: Storage,
    tmp_path: Path,
    form: Form,
) -> None:
    make(0, outputs=2)
    make(1, JobState.FAILED, outputs=0)
    make(2)

    answer = client.get(f"/v1/batches/{batch_id}/export?format={form}")

    about = {"batch_id": batch_id}
    export_dataset(form, BatchItems(database, batch_id), bucket.open, tmp_path, about)
    [shard] = [*tmp_path.glob("*.tar"), *tmp_path.glob("*.parquet")]
    assert answer.content == shard.read_bytes()
    ending, content_type = {
        Form.WEBDATASET: ("tar", "application/x-tar"),
        Form.PARQUET: ("parquet", "application/vnd.apache.parquet"),
    }[form]
    assert answer.headers["content-type"] == content_type
    name = f'filename="{batch_id}.{ending}"'
    assert name in answer.headers["content-disposition"]


def test_a_folder_of_pictures_is_streamed_with_its_card(
    client: Client, make: JobMaker, batch_id: str
) -> None:
    make(0)

    answer = client.get(f"/v1/batches/{batch_id}/export?format=imagefolder")

    with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
        assert archive.getnames() == [
            "00000/000000-0.png",
            "metadata.jsonl",
            "failed.jsonl",
            "README.md",
            "dataset.json",
        ]


def test_the_same_batch_is_the_same_tar(client: Client, make: JobMaker, batch_id: str) -> None:
    make(0, outputs=3)

    first, second = (client.get(f"/v1/batches/{batch_id}/export") for _ in range(2))

    assert first.content == second.content


def test_what_the_bucket_lost_is_named_and_the_rest_is_there(
    client: Client, make: JobMaker, batch_id: str, bucket: Storage
) -> None:
    make(0)
    lost = make(1)
    bucket.delete(f"acme/{lost}-0.png")

    answer = client.get(f"/v1/batches/{batch_id}/export?format=files")

    with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
        names = archive.getnames()
        report = json.load(archive.extractfile("dataset.json"))  # type: ignore[arg-type]
    assert names == ["00000/000000-0.png", "metadata.jsonl", "failed.jsonl", "dataset.json"]
    assert [missing["job_id"] for missing in report["files"]["missing_examples"]] == [lost]


def test_links_lead_to_the_files(client: Client, make: JobMaker, batch_id: str) -> None:
    made = make(0, outputs=2)
    make(1, JobState.FAILED, outputs=0)

    answer = client.get(f"/v1/batches/{batch_id}/export?format=jsonl")
    lines = [json.loads(line) for line in answer.text.splitlines()]

    assert answer.headers["content-type"] == "application/x-ndjson"
    assert f'"{batch_id}.jsonl"' in answer.headers["content-disposition"]
    assert [line["job_id"] for line in lines] == [made, made]
    assert lines[0]["file_name"] == "00000/000000-0.png"
    for line in lines:
        path = line["url"].removeprefix(client.address)
        assert sha256(client.get(path).content).hexdigest() == line["sha256"]


def test_what_failed_can_be_run_again(
    client: Client, make: JobMaker, batch_id: str, tmp_path: Path
) -> None:
    make(0)
    make(1, JobState.FAILED, outputs=0)
    make(2, JobState.CANCELED, outputs=0)

    answer = client.get(f"/v1/batches/{batch_id}/export?format=failed")

    assert f'"{batch_id}.failed.jsonl"' in answer.headers["content-disposition"]
    manifest = tmp_path / "failed.jsonl"
    manifest.write_bytes(answer.content)
    assert [row.params["prompt"] for row in rows(manifest, Expansion())] == ["hare 1", "hare 2"]


def test_a_batch_without_rows_is_an_empty_dataset(client: Client, batch_id: str) -> None:
    answers = {form: client.get(f"/v1/batches/{batch_id}/export?format={form}") for form in FORMS}

    assert {form: answer.status_code for form, answer in answers.items()} == dict.fromkeys(
        FORMS, 200
    )
    assert answers["jsonl"].content == b""


FORMS = ("files", "imagefolder", "webdataset", "parquet", "jsonl", "failed")


def test_an_unknown_format_is_refused_with_those_that_there_are(
    client: Client, batch_id: str
) -> None:
    answer = client.get(f"/v1/batches/{batch_id}/export?format=zip")

    assert answer.status_code == 422
    assert all(form in answer.json()["faults"][0]["message"] for form in FORMS)


@contextmanager
def hanging(path: Path) -> Iterator[None]:
    """Whoever opens this file waits, as for a bucket that hangs; in the end the file is gone."""
    path.unlink()
    os.mkfifo(path)
    try:
        yield
    finally:
        aside = path.rename(path.with_name("aside"))
        # Those who wait to read go on once there was a writer.
        os.close(os.open(aside, os.O_RDWR))


def asking(client: Client, path: str) -> socket.socket:
    """A caller who has asked, and does not read yet."""
    host, _, port = client.address.removeprefix("http://").partition(":")
    caller = socket.create_connection((host, int(port)))
    headers = "".join(f"{name}: {value}\r\n" for name, value in client.headers.items())
    caller.sendall(f"GET {path} HTTP/1.1\r\nhost: {host}\r\n{headers}\r\n".encode())
    return caller


def test_other_requests_are_answered_while_many_exports_wait_for_the_bucket(
    client: Client, make: JobMaker, batch_id: str, settings: Settings
) -> None:
    job_id = make(0)
    [output] = settings.darkroom_home.rglob(f"{job_id}-0.png")

    with ExitStack() as stack:
        stack.enter_context(hanging(output))
        # The server has 40 threads for requests.
        for _ in range(50):
            caller = asking(client, f"/v1/batches/{batch_id}/export")
            stack.enter_context(closing(caller))
        places = client.app.state.parts.streams.beginning
        waiting = 50 - BEGINNING_AT_ONCE
        wait_until(lambda: places.statistics().tasks_waiting == waiting, "all have asked")

        assert client.get(f"/v1/batches/{batch_id}").status_code == 200


class Noticing(Streams):
    """Lets be seen when a stream is wanted no more."""

    unwanted: Event

    def answer(
        self, stream: Iterator[bytes], unwanted: Event, *, name: str, content_type: str
    ) -> Streamed:
        self.unwanted = unwanted
        return super().answer(stream, unwanted, name=name, content_type=content_type)


@pytest.mark.parametrize("form", ["files", "imagefolder", "webdataset", "parquet", "failed"])
def test_a_reader_who_goes_ends_the_walk_behind_him(
    client: Client,
    make: JobMaker,
    batch_id: str,
    monkeypatch: pytest.MonkeyPatch,
    form: str,
) -> None:
    monkeypatch.setattr(history, "PAGE", 1)
    for row in range(4):
        make(row, JobState.QUEUED, outputs=0)
    streams = Noticing()
    parts = client.app.state.parts = replace(client.app.state.parts, streams=streams)
    has_begun, may_go_on = Event(), Event()
    pages: list[str] = []

    def gate(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "FROM job " in statement.replace("\n", " "):
            pages.append(statement)
            has_begun.set()
            assert may_go_on.wait(30)

    event.listen(parts.database.engine, "before_cursor_execute", gate)
    with closing(asking(client, f"/v1/batches/{batch_id}/export?format={form}")):
        wait_until(has_begun.is_set, "the walk has begun")
    wait_until(streams.unwanted.is_set, "the server sees that its reader has gone")
    may_go_on.set()

    wait_until(lambda: streams.beginning.borrowed_tokens == 0, "the walk is over")
    assert len(pages) == 1


def test_a_bucket_that_is_away_is_an_error_with_a_status(
    client: Client, make: JobMaker, batch_id: str, settings: Settings
) -> None:
    job_id = make(0)
    [output] = settings.darkroom_home.rglob(f"{job_id}-0.png")
    output.unlink()
    # It cannot be read, also by root.
    output.mkdir()

    answers = [client.get(f"/v1/batches/{batch_id}/export?format={form}") for form in FORMS[:4]]

    assert {answer.status_code for answer in answers} == {503}
    assert {answer.json()["code"] for answer in answers} == {"storage_unavailable"}
    assert all("retry-after" in answer.headers for answer in answers)
