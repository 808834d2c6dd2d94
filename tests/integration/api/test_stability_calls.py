"""Paid calls at Stability's own addresses, up to the job that comes of them."""

import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from PIL import Image
from sqlalchemy import update

from api.stability.waiting import look_at, withdraw
from jobs.catalog.loader import addressed
from jobs.db import Database
from jobs.models import Job, table
from jobs.settings import Settings
from jobs.states import JobState
from tests.factories import make_job
from tests.integration.api.serving import Client

JOB = table(Job)
CORE = "/stability/v2beta/stable-image/generate/core"
FAST = "/stability/v2beta/stable-image/upscale/fast"
VIDEO = "/stability/v2beta/image-to-video"
SD16 = "/stability/v1/generation/stable-diffusion-v1-6"
TEXT_TO_IMAGE = f"{SD16}/text-to-image"
MIB = 1024 * 1024


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """One is enough: what both must do alike is tested beneath."""
    return sqlite_url


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Nobody works here: a call that waits is soon told so."""
    return settings.model_copy(update={"darkroom_wait_seconds": 0.05})


def picture(width: int = 80, height: int = 64) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(buffer, "PNG")
    return buffer.getvalue()


def send(client: Client, path: str, files: Any = None, **fields: str) -> requests.Response:
    """A form, with no file or some."""
    parts = {name: (None, value) for name, value in fields.items()}
    return client.post(path, files={**parts, **(files or {"none": ""})})


def jobs_of(client: Client) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = client.get("/v1/jobs").json()["items"]
    return listed


def test_a_form_becomes_a_job_with_typed_params_before_those_of_batches(client: Client) -> None:
    answer = send(client, CORE, prompt="a hare", seed="7", aspect_ratio="16:9", style_preset="")

    (job,) = jobs_of(client)
    assert answer.status_code == 202, answer.text
    assert answer.headers["darkroom-job"] == job["id"]
    assert job["operation"] == "generate/core"
    assert job["params"] == {"prompt": "a hare", "seed": 7, "aspect_ratio": "16:9"}
    assert job["priority"] == 10


def test_files_are_kept_as_assets(client: Client) -> None:
    send(client, FAST, {"image": ("x.bin", picture(), "application/octet-stream")})

    (job,) = jobs_of(client)
    asset = client.get("/v1/assets/" + job["inputs"]["image"].removeprefix("asset:")).json()
    assert (asset["content_type"], asset["width"]) == ("image/png", 80)


def test_a_file_that_does_not_fit_into_memory_is_kept_whole(client: Client) -> None:
    buffer = io.BytesIO()
    Image.effect_noise((900, 900), 90).save(buffer, "PNG")
    assert len(buffer.getvalue()) > MIB // 2

    send(client, FAST, {"image": buffer.getvalue()})

    (job,) = jobs_of(client)
    asset = client.get("/v1/assets/" + job["inputs"]["image"].removeprefix("asset:")).json()
    assert asset["bytes"] == len(buffer.getvalue())


def test_v1_takes_json_with_the_engine_in_the_address(client: Client) -> None:
    body = {"text_prompts": [{"text": "a hare", "weight": 0.5}], "samples": 2, "steps": 20}

    client.post(TEXT_TO_IMAGE, json=body)

    (job,) = jobs_of(client)
    assert job["operation"] == "v1/text-to-image"
    assert job["params"] == {**body, "engine_id": "stable-diffusion-v1-6"}


def test_v1_takes_prompts_as_fields_of_a_form(client: Client) -> None:
    fields = {"text_prompts[0][text]": "a hare", "text_prompts[0][weight]": "-0.5"}

    send(client, f"{SD16}/image-to-image", {"init_image": picture()}, **fields)

    (job,) = jobs_of(client)
    assert job["params"]["text_prompts"] == [{"text": "a hare", "weight": -0.5}]


def test_an_asynchronous_call_is_answered_at_once_with_its_id_alone(client: Client) -> None:
    answer = send(client, VIDEO, {"image": picture(768, 768)})

    assert answer.status_code == 200
    assert answer.json().keys() == {"id"}
    assert len(answer.json()["id"]) == 64
    assert set(answer.json()["id"]) <= set("0123456789abcdef")


def test_what_an_application_says_of_itself_stays_with_the_job(client: Client) -> None:
    told = {"stability-client-id": "my-app", "stability-client-user-id": "user#1"}

    client.post(CORE, files={"prompt": (None, "x")}, headers={**told, "organization": "org-1"})

    (job,) = jobs_of(client)
    assert job["metadata"] == told


def test_one_idempotency_key_is_one_job_also_for_many_at_once(client: Client) -> None:
    def once(prompt: str) -> requests.Response:
        headers = {"idempotency-key": "order-7"}
        return client.post(CORE, files={"prompt": (None, prompt)}, headers=headers)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(once, ["a hare"] * 8))
    other = once("a dog")

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert (other.status_code, other.json()["name"]) == (409, "idempotency_mismatch")
    assert len(jobs_of(client)) == 1


@pytest.mark.parametrize(
    ("fields", "files", "faulty"),
    [
        ({}, {}, ["prompt"]),
        ({"prompt": "x", "aspect_ratio": "9:1", "seed": "x"}, {}, ["aspect_ratio", "seed"]),
        ({"prompt": "x", "tempo": "1"}, {}, ["tempo"]),
        ({"prompt": "x"}, {"image": b"y"}, ["image"]),
        ({}, {"prompt": b"y"}, ["prompt"]),
    ],
    ids=["missing", "wrong values", "unknown", "unknown file", "text as a file"],
)
def test_every_fault_of_a_form_is_told_and_nothing_is_let_in(
    client: Client, fields: dict[str, str], files: dict[str, bytes], faulty: list[str]
) -> None:
    answer = send(client, CORE, files, **fields)

    told = answer.json()
    assert (answer.status_code, told["name"]) == (400, "bad_request")
    assert sorted(error.partition(":")[0] for error in told["errors"]) == faulty
    assert told["id"] == answer.headers["x-request-id"]
    assert jobs_of(client) == []


@pytest.mark.parametrize(
    "file",
    [b"", b"GIF89a" + b"\0" * 99, picture()[:60], picture(8, 8)],
    ids=["empty", "another kind", "cut off", "too small"],
)
def test_an_image_that_stability_would_refuse_is_refused(client: Client, file: bytes) -> None:
    answer = send(client, FAST, {"image": file})

    assert answer.status_code == 400
    assert all(error.startswith("image: ") for error in answer.json()["errors"])
    assert jobs_of(client) == []


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"prompt=x", "application/x-www-form-urlencoded"),
        (b'{"prompt": "x"}', "application/json"),
        (b"--x\r\nbroken", "multipart/form-data; boundary=x"),
        (b"x", "multipart/form-data"),
        (b"", ""),
    ],
    ids=["urlencoded", "json", "broken", "no boundary", "nothing"],
)
def test_what_is_no_form_is_refused(client: Client, body: bytes, content_type: str) -> None:
    answer = client.post(CORE, data=body, headers={"content-type": content_type})

    assert (answer.status_code, answer.json()["name"]) == (400, "bad_request")


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b"[" * 100_000], ids=["none", "list", "cut", "deep"]
)
def test_what_is_no_json_is_refused(client: Client, body: bytes) -> None:
    answer = client.post(TEXT_TO_IMAGE, data=body, headers={"content-type": "application/json"})

    assert (answer.status_code, answer.json()["name"]) == (400, "bad_request")
    assert answer.json()["message"].startswith("body: ")


def test_a_body_beyond_ten_mebibytes_is_refused(client: Client) -> None:
    answer = send(client, FAST, {"image": b"\x89PNG\r\n\x1a\n" + b"\0" * 11 * MIB})

    assert (answer.status_code, answer.json()["name"]) == (413, "payload_too_large")


def test_a_form_of_very_many_parts_is_refused(client: Client) -> None:
    answer = send(client, CORE, **{f"f{n}": "x" for n in range(300)})

    assert answer.status_code == 400
    assert jobs_of(client) == []


@pytest.mark.parametrize("accept", ["video/*", "text/html"])
def test_an_answer_that_is_not_made_is_refused(client: Client, accept: str) -> None:
    answer = client.post(CORE, files={"prompt": (None, "x")}, headers={"accept": accept})

    assert answer.status_code == 400
    assert answer.json()["errors"] == ["accept: must be one of image/*, application/json"]
    assert jobs_of(client) == []


def test_many_samples_do_not_fit_into_one_answer_of_bytes(client: Client) -> None:
    body = {"text_prompts": [{"text": "x"}], "samples": 2}

    answer = client.post(TEXT_TO_IMAGE, json=body, headers={"accept": "image/png"})

    assert (answer.status_code, answer.json()["name"]) == (400, "invalid_samples")


def test_an_engine_that_cannot_be_one_is_not_found(client: Client) -> None:
    body = {"text_prompts": [{"text": "x"}]}

    answer = client.post("/stability/v1/generation/a%20b/text-to-image", json=body)

    assert (answer.status_code, answer.json()["name"]) == (404, "not_found")
    assert "message" in answer.json()


def test_a_header_of_an_application_has_a_longest_length(client: Client) -> None:
    headers = {"stability-client-id": "x" * 257}

    answer = client.post(CORE, files={"prompt": (None, "x")}, headers=headers)

    assert (answer.status_code, answer.json()["name"]) == (400, "bad_request")


def test_unknown_addresses_and_methods_are_told_in_the_same_shape(client: Client) -> None:
    unknown, wrong = client.get("/stability/v2beta/nothing"), client.call("DELETE", CORE)

    assert (unknown.status_code, unknown.json()["name"]) == (404, "not_found")
    assert (wrong.status_code, wrong.json()["name"]) == (405, "method_not_allowed")
    assert unknown.json()["errors"]


def test_every_address_of_the_catalog_asks_for_a_key_that_may_submit(
    client: Client, stranger: Client, make_key: Any
) -> None:
    reader = stranger.with_key(make_key("acme", "read"))
    for operation in addressed().values():
        path = "/stability" + operation.path.format(engine_id="stable-diffusion-v1-6")
        unknown, forbidden = stranger.post(path), reader.post(path)
        assert (unknown.status_code, unknown.json()["name"]) == (401, "unauthorized")
        assert (forbidden.status_code, forbidden.json()["name"]) == (403, "permission_denied")
        assert client.post(path).status_code == 400


def hold(database: Database, job_id: str, reason: str, code: str, error_class: str) -> None:
    """Let a worker have held the job."""
    told = {"message": "It broke.", "retryable": True, "charged": "unknown"}
    error = {"code": code, "class": error_class, **told}
    with database.transaction() as db:
        db.execute(
            update(JOB)
            .where(JOB.c.id == job_id)
            .values(state="held", held_for=reason, due_at=None, error=error)
        )


def order(client: Client) -> requests.Response:
    headers = {"idempotency-key": "order-7"}
    return client.post(CORE, files={"prompt": (None, "x")}, headers=headers)


def test_who_is_told_that_there_are_no_funds_does_not_pay_later(
    client: Client, database: Database
) -> None:
    job_id = order(client).headers["darkroom-job"]
    hold(database, job_id, "funds", "no_funds", "billing")

    answers = [order(client) for _ in range(2)]

    told = [(answer.status_code, answer.json()["name"]) for answer in answers]
    assert told == [(402, "payment_required")] * 2
    assert [job["state"] for job in jobs_of(client)] == ["canceled"]


def test_a_lost_answer_that_a_person_must_decide_about_is_told_and_stays_held(
    client: Client, database: Database
) -> None:
    job_id = order(client).headers["darkroom-job"]
    hold(database, job_id, "uncertain", "answer_lost", "network")

    answer = order(client)

    assert (answer.status_code, answer.json()["name"]) == (500, "internal_error")
    assert job_id in answer.json()["errors"][0]
    assert [job["state"] for job in jobs_of(client)] == ["held"]


def test_a_job_that_went_on_meanwhile_is_not_withdrawn(client: Client, database: Database) -> None:
    parts = client.app.state.parts
    with database.transaction() as db:
        job_id = make_job(db, JobState.SUBMITTING, project_id="acme")

    assert not withdraw(parts, look_at(parts, "acme", job_id).job)

    assert look_at(parts, "acme", job_id).job.state == JobState.SUBMITTING
