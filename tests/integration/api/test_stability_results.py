"""Results at Stability's own addresses: of jobs in every state, in every form."""

import io
from base64 import b64decode
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
import requests
from sqlalchemy import insert

from api.stability.ids import generation_id
from jobs.db import Database
from jobs.models import Output, new_id, table
from jobs.states import JobState
from jobs.storage.protocol import Storage
from tests.factories import make_job
from tests.integration.api.serving import Client

ANY = "/stability/v2beta/results/"
VIDEO = "/stability/v2beta/image-to-video/result/"
CREATIVE = "/stability/v2beta/stable-image/upscale/creative/result/"
#: Longer than a piece that is read at once, and not divisible by three.
CONTENT = bytes(range(256)) * 1000
MEDIA = {
    "image-to-video": "video/mp4",
    "3d/stable-fast-3d": "model/gltf-binary",
}

Maker = Callable[..., str]


@pytest.fixture
def database_url(postgres_url: str) -> str:
    """One is enough: what both must do alike is tested beneath."""
    return postgres_url


@pytest.fixture
def make(client: Client, database: Database) -> Maker:
    """Makes a job of `acme`, with outputs if it has any; gives its id as Stability's look."""
    storage: Storage = client.app.state.parts.storage

    def make(state: JobState, operation: str, *seeds: int | None, **columns: Any) -> str:
        with database.transaction() as db:
            job_id = make_job(db, state, project_id="acme", operation=operation, **columns)
            for number, seed in enumerate(seeds):
                db.execute(insert(table(Output)), put(storage, job_id, operation, number, seed))
        return generation_id(job_id)

    return make


def put(
    storage: Storage, job_id: str, operation: str, number: int, seed: int | None
) -> dict[str, Any]:
    """The row of an output that lies in the bucket."""
    row = {
        "job_id": job_id,
        "number": number,
        "attempt_id": new_id(),
        "key": f"acme/{job_id}/{number}",
        "content_type": MEDIA.get(operation, "image/png"),
        "bytes": len(CONTENT),
        "sha256": sha256(CONTENT).hexdigest(),
        "seed": seed,
        "finish_reason": "SUCCESS" if number == 0 else "CONTENT_FILTERED",
    }
    storage.put(
        row["key"],
        io.BytesIO(CONTENT),
        size=len(CONTENT),
        content_type=row["content_type"],
        sha256=row["sha256"],
        metadata={},
    )
    return row


def failure(code: str, error_class: str, message: str = "It broke.") -> dict[str, Any]:
    """A job's error."""
    told = {"retryable": False, "charged": "no"}
    return {"code": code, "message": message, "class": error_class, **told}


def test_the_bytes_come_with_seed_and_finish_reason(client: Client, make: Maker) -> None:
    answer = client.get(ANY + make(JobState.SUCCEEDED, "upscale/creative", 7))

    assert answer.status_code == 200
    assert answer.content == CONTENT
    headers = {name: answer.headers[name] for name in ("content-type", "finish-reason", "seed")}
    assert headers == {"content-type": "image/png", "finish-reason": "SUCCESS", "seed": "7"}
    assert int(answer.headers["content-length"]) == len(CONTENT)


@pytest.mark.parametrize(
    ("operation", "name"), [("upscale/creative", "image"), ("image-to-video", "video")]
)
def test_json_holds_the_same_bytes(client: Client, make: Maker, operation: str, name: str) -> None:
    path = ANY + make(JobState.SUCCEEDED, operation, 7)

    answer = client.get(path, headers={"accept": "application/json"})

    told = answer.json()
    kind = MEDIA.get(operation, "image/png")
    assert answer.headers["content-type"] == f"application/json; type={kind}"
    assert b64decode(told.pop(name)) == CONTENT
    assert told == {"finish_reason": "SUCCESS", "seed": 7}
    assert "seed" not in answer.headers
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_a_seed_that_nobody_knows_is_left_out(client: Client, make: Maker) -> None:
    path = ANY + make(JobState.SUCCEEDED, "upscale/creative", None)

    as_bytes, as_json = client.get(path), client.get(path, headers={"accept": "application/json"})

    assert "seed" not in as_bytes.headers
    assert as_json.json().keys() == {"image", "finish_reason"}


def test_a_result_of_v1_has_all_artifacts_in_their_order(client: Client, make: Maker) -> None:
    path = ANY + make(JobState.FILTERED, "v1/text-to-image", 7, 8)

    as_json, as_bytes = client.get(path), client.get(path, headers={"accept": "image/png"})

    artifacts = as_json.json()["artifacts"]
    assert [(a["finishReason"], a["seed"]) for a in artifacts] == [
        ("SUCCESS", 7),
        ("CONTENT_FILTERED", 8),
    ]
    assert all(b64decode(artifact["base64"]) == CONTENT for artifact in artifacts)
    assert int(as_json.headers["content-length"]) == len(as_json.content)
    assert (as_bytes.content, as_bytes.headers["seed"]) == (CONTENT, "7")


@pytest.mark.parametrize("path", [ANY, VIDEO])
def test_a_result_has_a_common_address_and_one_of_its_operation(
    client: Client, make: Maker, path: str
) -> None:
    video = make(JobState.SUCCEEDED, "image-to-video", 7)

    assert client.get(path + video).content == CONTENT
    assert client.get(CREATIVE + video).json()["name"] == "generation_not_found"


@pytest.mark.parametrize(
    "state",
    [JobState.QUEUED, JobState.SUBMITTING, JobState.POLLING, JobState.STORING, JobState.HELD],
)
def test_until_its_end_a_result_is_in_progress(
    client: Client, make: Maker, state: JobState
) -> None:
    result_id = make(state, "image-to-video")

    answer = client.get(VIDEO + result_id)

    assert answer.status_code == 202
    assert answer.json() == {"id": result_id, "status": "in-progress"}


@pytest.mark.parametrize(
    ("error", "status", "name"),
    [
        (failure("content_moderation", "moderation"), 403, "content_moderation"),
        (failure("bad_request", "user"), 400, "bad_request"),
        (failure("unprocessable", "user"), 422, "unprocessable_entity"),
        (failure("too_large", "user"), 413, "payload_too_large"),
        (failure("forbidden", "user"), 403, "permission_denied"),
        (failure("no_funds", "billing"), 402, "payment_required"),
        (failure("result_expired", "provider"), 404, "generation_not_found"),
        (failure("provider_error", "provider"), 500, "internal_error"),
        (failure("answer_lost", "network"), 500, "internal_error"),
    ],
    ids=lambda value: value["code"] if isinstance(value, dict) else "",
)
def test_why_there_is_no_result_is_told_in_stabilitys_words(
    client: Client, make: Maker, error: dict[str, Any], status: int, name: str
) -> None:
    answer = client.get(ANY + make(JobState.FAILED, "upscale/creative", error=error))

    assert (answer.status_code, answer.json()["name"]) == (status, name)
    assert answer.json().keys() == {"id", "name", "errors"}


def test_a_canceled_job_has_no_result(client: Client, make: Maker) -> None:
    answer = client.get(ANY + make(JobState.CANCELED, "upscale/creative"))

    assert (answer.status_code, answer.json()["name"]) == (409, "canceled")


def test_a_result_that_cannot_be_read_now_is_kept(
    client: Client, make: Maker, database: Database
) -> None:
    result_id = make(JobState.SUCCEEDED, "upscale/creative", 7)
    storage = client.app.state.parts.storage
    for key in list(storage.list("acme/")):
        # A folder cannot be read as a file, whoever asks.
        storage.delete(key)
        (storage.root / key).mkdir(parents=True)

    answer = client.get(ANY + result_id)

    assert (answer.status_code, answer.json()["name"]) == (503, "service_unavailable")
    assert result_id in answer.json()["errors"][0]
    assert "retry-after" in answer.headers


def test_of_a_result_that_somebody_has_deleted_it_is_said_that_it_is_gone(
    client: Client, make: Maker
) -> None:
    result_id = make(JobState.SUCCEEDED, "upscale/creative", 7)
    storage = client.app.state.parts.storage
    for key in list(storage.list("acme/")):
        storage.delete(key)

    answer = client.get(ANY + result_id)

    assert (answer.status_code, answer.json()["name"]) == (410, "object_missing")
    assert "retry-after" not in answer.headers


def refused(client: Client, result_id: str) -> tuple[int, str]:
    answer: requests.Response = client.get(ANY + result_id)
    return answer.status_code, answer.json()["name"]


def test_another_projects_result_is_not_there(
    client: Client, neighbour: Client, make: Maker
) -> None:
    result_id = make(JobState.SUCCEEDED, "upscale/creative", 7)

    assert refused(neighbour, result_id) == (404, "generation_not_found")
    assert neighbour.get(CREATIVE + result_id).status_code == 404
    assert client.get(CREATIVE + result_id).status_code == 200


def test_an_id_that_is_none_is_not_there(client: Client, make: Maker) -> None:
    known = make(JobState.SUCCEEDED, "upscale/creative", 7)
    mistyped = known[:-1] + ("0" if known[-1] != "0" else "1")

    assert refused(client, generation_id(new_id())) == (404, "generation_not_found")
    assert refused(client, mistyped) == (404, "generation_not_found")
    assert refused(client, "f" * 64) == (404, "generation_not_found")
    assert refused(client, "f" * 63) == (400, "bad_request")


def test_a_result_asks_for_a_key_that_may_read(
    client: Client, stranger: Client, make: Maker, make_key: Any
) -> None:
    result_id = make(JobState.SUCCEEDED, "upscale/creative", 7)

    assert refused(stranger, result_id) == (401, "unauthorized")
    submitter = stranger.with_key(make_key("acme", "submit"))
    assert refused(submitter, result_id) == (403, "permission_denied")
