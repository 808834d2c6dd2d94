"""What the interface says of an input before anything is fetched."""

from collections.abc import Iterator

import pytest
from sqlalchemy import insert, update

from jobs.db import Database
from jobs.inputs import OUTPUT
from jobs.queue.moves import JOB
from jobs.settings import Settings
from tests.integration.api.conftest import KeyMaker
from tests.integration.api.serving import Client, served

NOBODY = "01hzy3v8k2m4n6p8q0r2s4t6v8"


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """One database: what is tested here is the same on both."""
    return sqlite_url


def faults(client: Client, reference: str) -> list[dict[str, str]]:
    body = {"operation": "edit/remove-background", "inputs": {"image": reference}}
    answer = client.post("/v1/jobs", json=body)
    assert answer.status_code == 422, answer.text
    found: list[dict[str, str]] = answer.json()["faults"]
    return found


@pytest.mark.parametrize(
    ("reference", "code"),
    [
        ("https://127.0.0.1/a.png", "address_refused"),
        ("https://[::ffff:127.0.0.1]/a.png", "address_refused"),
        ("https://2130706433/a.png", "address_refused"),
        ("https://169.254.169.254/latest/meta-data/", "address_refused"),
        ("https://user:secret@example.com/a.png", "address_refused"),
        ("http://example.com/a.png", "address_refused"),
        ("file:///etc/passwd", "bad_reference"),
        ("s3://faces/a.png", "bucket_refused"),
        (f"job:{NOBODY}", "unknown_job"),
        (f"asset:{NOBODY}", "unknown_asset"),
        ("nonsense", "bad_reference"),
    ],
)
def test_what_will_not_be_fetched_is_refused_at_once(
    reference: str, code: str, client: Client
) -> None:
    (fault,) = faults(client, reference)

    assert (fault["field"], fault["code"]) == ("inputs.image", code)
    assert "secret" not in fault["message"]


@pytest.mark.parametrize("path", ["list", "stream"])
def test_a_row_of_a_batch_is_refused_in_the_same_way(path: str, client: Client) -> None:
    good = {"inputs": {"image": "https://example.com/a.png"}}
    bad = {"inputs": {"image": "https://127.0.0.1/a.png"}}
    batch = {"operation": "edit/remove-background"}

    if path == "list":
        report = client.post("/v1/batches", json=batch | {"jobs": [good, bad]}).json()
    else:
        batch_id = client.post("/v1/batches", json=batch).json()["id"]
        rows = '{"inputs": {"image": "https://example.com/a.png"}}\n'
        rows += '{"inputs": {"image": "https://127.0.0.1/a.png"}}\n'
        report = client.post(f"/v1/batches/{batch_id}/jobs", data=rows.encode()).json()

    assert (report["accepted"], report["refused"]) == (1, 1)
    (error,) = report["errors"]
    assert (error["row"], error["faults"][0]["code"]) == (1, "address_refused")


def test_an_address_stays_as_it_was_written(client: Client) -> None:
    body = {"operation": "edit/remove-background", "inputs": {"image": "https://example.com/a.png"}}

    job = client.post("/v1/jobs", json=body).json()

    assert job["inputs"] == {"image": "https://example.com/a.png"}


@pytest.fixture
def in_house(settings: Settings, make_key: KeyMaker) -> Iterator[Client]:
    """A caller of an installation that may call its own hosts and reads a bucket."""
    update = {"darkroom_allow_private_addresses": True, "darkroom_input_buckets": "faces"}
    with served(settings.model_copy(update=update)) as client:
        yield client.with_key(make_key())


@pytest.mark.parametrize("reference", ["http://127.0.0.1:8080/a.png", "s3://faces/a.png"])
def test_what_the_settings_allow_is_let_in(reference: str, in_house: Client) -> None:
    body = {"operation": "edit/remove-background", "inputs": {"image": reference}}

    assert in_house.post("/v1/jobs", json=body).status_code == 202


def parent(client: Client, database: Database, state: str, content_type: str = "image/png") -> str:
    """A job that has ended with one output."""
    body = {"operation": "generate/core", "params": {"prompt": "a hare"}}
    job_id: str = client.post("/v1/jobs", json=body).json()["id"]
    now = database.now()
    output = {"job_id": job_id, "number": 0, "attempt_id": "a", "key": "k", "sha256": "0" * 64}
    output |= {"content_type": content_type, "bytes": 9, "width": 512, "height": 512}
    with database.transaction() as db:
        ended = {"state": state, "due_at": None, "finished_at": now}
        db.execute(update(JOB).where(JOB.c.id == job_id).values(ended))
        if state == "succeeded":
            db.execute(insert(OUTPUT), output)
    return job_id


def test_the_output_of_a_job_that_succeeded_is_let_in(client: Client, database: Database) -> None:
    job_id = parent(client, database, "succeeded")
    body = {"operation": "edit/remove-background", "inputs": {"image": f"job:{job_id}"}}

    answer = client.post("/v1/jobs", json=body)

    assert answer.status_code == 202
    assert answer.json()["inputs"] == {"image": f"job:{job_id}#0"}


def test_outputs_that_will_never_be_an_input_are_refused(
    client: Client, neighbour: Client, database: Database
) -> None:
    good = parent(client, database, "succeeded")
    failed = parent(client, database, "failed")
    video = parent(client, database, "succeeded", "video/mp4")

    assert faults(client, f"job:{good}#1")[0]["code"] == "unknown_output"
    assert faults(client, f"job:{failed}")[0]["code"] == "no_output"
    assert faults(client, f"job:{video}")[0]["code"] == "not_an_image"
    assert faults(neighbour, f"job:{good}")[0]["code"] == "unknown_job"
