"""`/v1/jobs` and what hangs from it."""

import base64
import io
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
import requests
from PIL import Image
from sqlalchemy import func, insert, select

from jobs.db import Database
from jobs.models import Job, Output, new_id, table
from jobs.queue import desk
from jobs.states import JobState
from tests.factories import make_job, stored_output
from tests.integration.api.serving import Client

JOB = table(Job)
CORE = {"operation": "generate/core", "params": {"prompt": "a lighthouse"}}


def submit(client: Client, **changes: Any) -> dict[str, Any]:
    answer = client.post("/v1/jobs", json=CORE | changes)
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    return job


def faults(answer: requests.Response) -> set[tuple[str, str]]:
    assert answer.status_code == 422, answer.text
    return {(fault["field"], fault["code"]) for fault in answer.json()["faults"]}


def png(width: int = 64, height: int = 64) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(buffer, "PNG")
    return buffer.getvalue()


def test_a_job_is_let_in_and_can_be_read(client: Client) -> None:
    answer = client.post("/v1/jobs", json=CORE | {"metadata": {"n": 1}, "priority": 3})

    job = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert (job["state"], job["priority"], job["metadata"]) == ("queued", 3, {"n": 1})
    assert job["credits"] == {"estimated": 3, "charged": 0}
    found = client.get(f"/v1/jobs/{job['id']}").json()
    assert found == job | {"position": 1, "eta": found["eta"]}


def test_all_faults_of_a_body_come_at_once_with_their_places(client: Client) -> None:
    answer = client.post(
        "/v1/jobs",
        json={
            "operation": "generate/core",
            "params": {"aspect_ratio": "1:7", "colour": "red"},
            "inputs": {"image": "asset:x"},
            "priority": "high",
            "run_at": "2030-01-01T00:00:00",
            "webhook": 1,
        },
    )

    assert faults(answer) == {
        ("params.prompt", "required"),
        ("params.aspect_ratio", "not_allowed"),
        ("params.colour", "unknown_parameter"),
        ("inputs.image", "unknown_parameter"),
        ("priority", "int_type"),
        ("run_at", "timezone_aware"),
        ("webhook", "extra_forbidden"),
    }
    assert answer.json()["code"] == "invalid_request"


def test_an_unknown_operation_is_named_with_the_closest_one(client: Client) -> None:
    answer = client.post("/v1/jobs", json={"operation": "generate/cor"})

    assert faults(answer) == {("operation", "unknown_operation")}
    assert "generate/core" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"metadata": {"a": "\0"}}, ("metadata", "value_error")),
        ({"metadata": {"a": "x" * 20_000}}, ("metadata", "value_error")),
        ({"params": {"prompt": "\ud800"}}, ("params.prompt", "unstorable")),
        ({"params": []}, ("params", "dict_type")),
        ({"run_at": "9999-12-31T23:59:59-12:00"}, ("run_at", "value_error")),
    ],
    ids=["NUL", "too long", "half a character", "a list", "end of time"],
)
def test_what_the_database_cannot_keep_is_refused(
    client: Client, changes: dict[str, Any], fault: tuple[str, str]
) -> None:
    assert faults(client.post("/v1/jobs", json=CORE | changes)) == {fault}


@pytest.mark.parametrize(
    "body",
    [b"{", b"", b"[" * 100_000, b"\xff", b"[]"],
    ids=["cut", "none", "deep", "bytes", "list"],
)
def test_a_body_that_is_no_json_object_is_refused(client: Client, body: bytes) -> None:
    answer = client.post("/v1/jobs", data=body, headers={"content-type": "application/json"})

    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_body_that_is_too_large_is_refused(client: Client) -> None:
    answer = client.post("/v1/jobs", json=CORE | {"metadata": {"a": "x" * 5 * 1024 * 1024}})

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_the_same_key_and_body_is_the_same_job(client: Client) -> None:
    headers = {"idempotency-key": "order-7"}

    first = client.post("/v1/jobs", json=CORE, headers=headers)
    again = client.post("/v1/jobs", json=CORE, headers=headers)

    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json()["id"] == again.json()["id"]


def test_the_same_key_with_another_body_is_a_conflict(client: Client) -> None:
    headers = {"idempotency-key": "order-7"}
    client.post("/v1/jobs", json=CORE, headers=headers)

    answer = client.post("/v1/jobs", json=CORE | {"priority": 1}, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_mismatch")


def test_a_refused_body_uses_no_key_up(client: Client) -> None:
    headers = {"idempotency-key": "order-7"}
    client.post("/v1/jobs", json={"operation": "generate/core"}, headers=headers)

    assert client.post("/v1/jobs", json=CORE, headers=headers).status_code == 202


def test_each_project_has_idempotency_keys_of_its_own(client: Client, neighbour: Client) -> None:
    headers = {"idempotency-key": "order-7"}

    mine = client.post("/v1/jobs", json=CORE, headers=headers)
    theirs = neighbour.post("/v1/jobs", json=CORE, headers=headers)

    assert (mine.status_code, theirs.status_code) == (202, 202)
    assert mine.json()["id"] != theirs.json()["id"]


def test_fifty_at_once_with_one_key_make_one_job(client: Client, database: Database) -> None:
    def call(_: int) -> requests.Response:
        return client.post("/v1/jobs", json=CORE, headers={"idempotency-key": "order-7"})

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(call, range(50)))

    assert sorted(answer.status_code for answer in answers) == [200] * 49 + [202]
    assert len({answer.json()["id"] for answer in answers}) == 1
    with database.reading() as db:
        assert db.execute(select(func.count()).select_from(JOB)).scalar_one() == 1


def test_a_job_with_a_date_is_not_due_before_it(client: Client, database: Database) -> None:
    later = database.now() + timedelta(hours=1)

    job = submit(client, run_at=later.isoformat())

    with database.reading() as db:
        assert db.execute(select(JOB.c.due_at).where(JOB.c.id == job["id"])).scalar_one() == later


def test_an_image_within_the_job_becomes_an_asset(client: Client) -> None:
    data = base64.b64encode(png()).decode()
    body = {"operation": "upscale/fast", "inputs": {"image": f"data:image/png;base64,{data}"}}

    first, second = (client.post("/v1/jobs", json=body) for _ in range(2))

    assert first.status_code == 202, first.text
    assert first.json()["inputs"]["image"].startswith("asset:")
    assert first.json()["inputs"] == second.json()["inputs"]


@pytest.mark.parametrize(
    ("reference", "code"),
    [
        ("asset:01jd3zq8m4v6x0f5y2k7c9r1hb", "unknown_asset"),
        ("file:///etc/passwd", "bad_reference"),
        ("http://127.0.0.1/", "address_refused"),
        ("data:image/png;base64,a", "bad_base64"),
        ("data:image/png;base64,aGFyZQ==", "bad_image"),
        ("data:image/png;base64," + base64.b64encode(png(8, 8)).decode(), "too_small"),
        ("data:image/png;base64," + "A" * 1_500_000, "too_large"),
    ],
    ids=["unknown", "file", "loopback", "base64", "no image", "small", "large"],
)
def test_an_input_that_cannot_be_used_is_refused(client: Client, reference: str, code: str) -> None:
    body = {"operation": "upscale/fast", "inputs": {"image": reference}}

    assert faults(client.post("/v1/jobs", json=body)) == {("inputs.image", code)}


def test_a_job_is_canceled_once_and_its_story_told(client: Client) -> None:
    job = submit(client)

    first = client.post(f"/v1/jobs/{job['id']}/cancel")
    again = client.post(f"/v1/jobs/{job['id']}/cancel")
    story = client.get(f"/v1/jobs/{job['id']}/history").json()

    assert (first.json()["state"], again.status_code) == ("canceled", 200)
    assert [event["verb"] for event in story["events"]] == ["submitted", "canceled"]
    assert story["attempts"] == []


def test_a_job_that_was_sent_is_not_canceled(client: Client, database: Database) -> None:
    with database.transaction() as db:
        job_id = make_job(db, JobState.SUBMITTING, project_id="acme")

    answer = client.post(f"/v1/jobs/{job_id}/cancel")

    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


def test_a_retry_with_other_parameters_costs_what_they_cost(
    client: Client, database: Database
) -> None:
    with database.transaction() as db:
        job_id = make_job(
            db,
            JobState.FAILED,
            project_id="acme",
            operation="generate/sd3",
            params={"prompt": "x"},
            estimated_milli=6500,
        )

    wrong = client.post(f"/v1/jobs/{job_id}/retry", json={"params": {"prompt": 7}})
    params = {"prompt": "y", "model": "sd3.5-medium", "seed": 9}
    right = client.post(f"/v1/jobs/{job_id}/retry", json={"params": params})

    assert faults(wrong) == {("params.prompt", "wrong_type")}
    job = right.json()
    assert (job["state"], job["params"], job["seed"]) == ("queued", params, 9)
    assert job["credits"]["estimated"] == 3.5


def test_a_job_that_runs_is_not_retried(client: Client) -> None:
    job = submit(client)

    assert client.post(f"/v1/jobs/{job['id']}/retry").status_code == 409


@pytest.mark.parametrize(("decision", "state"), [("resubmit", "queued"), ("give-up", "failed")])
def test_a_person_decides_about_an_uncertain_job(
    client: Client, database: Database, decision: str, state: str
) -> None:
    with database.transaction() as db:
        job_id = make_job(db, JobState.HELD, project_id="acme", held_for="uncertain")
    path = f"/v1/jobs/{job_id}"

    retried = client.post(f"{path}/retry")
    unclear = client.post(f"{path}/resolve", json={"decision": "perhaps"})
    resolved = client.post(f"{path}/resolve", json={"decision": decision})
    again = client.post(f"{path}/resolve", json={"decision": decision})

    assert (retried.status_code, again.status_code) == (409, 409)
    assert "is resolved if it is held as uncertain" in retried.json()["detail"]
    assert faults(unclear) == {("decision", "literal_error")}
    assert (resolved.status_code, resolved.json()["state"]) == (200, state)


def test_an_output_that_the_bucket_has_lost_is_gone(client: Client, database: Database) -> None:
    job_id, _ = with_output(client, database)
    client.app.state.parts.storage.delete(stored_output().key)

    answer = client.get(f"/v1/jobs/{job_id}/outputs/0")

    assert (answer.status_code, answer.json()["code"]) == (410, "object_missing")
    assert "retry-after" not in answer.headers


def test_whoever_waits_hears_of_the_end_at_once(client: Client, database: Database) -> None:
    job = submit(client)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.get, f"/v1/jobs/{job['id']}?wait=60")
        assert not waiting.done()
        with database.transaction() as db:
            desk.cancel(db, "acme", job["id"], database.now())
        answer = waiting.result(timeout=30)

    assert answer.json()["state"] == "canceled"


def test_a_wait_ends_when_its_time_is_over(client: Client) -> None:
    job = submit(client)

    answer = client.get(f"/v1/jobs/{job['id']}?wait=0.3")

    assert (answer.status_code, answer.json()["state"]) == (200, "queued")


def test_an_output_comes_from_the_folder(client: Client, database: Database) -> None:
    job_id, data = with_output(client, database)

    answer = client.get(f"/v1/jobs/{job_id}/outputs/0")

    assert (answer.status_code, answer.content) == (200, data)
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert client.get(f"/v1/jobs/{job_id}/outputs/1").status_code == 404


def with_output(client: Client, database: Database) -> tuple[str, bytes]:
    data, job_id = png(), new_id()
    output = stored_output()
    client.app.state.parts.storage.put(
        output.key,
        io.BytesIO(data),
        size=len(data),
        content_type="image/png",
        sha256=sha256(data).hexdigest(),
        metadata={},
    )
    with database.transaction() as db:
        make_job(db, JobState.SUCCEEDED, id=job_id, project_id="acme")
        row = vars(output) | {"job_id": job_id, "attempt_id": "a", "bytes": len(data)}
        db.execute(insert(table(Output)), row)
    return job_id, data


def test_nothing_of_one_project_is_visible_to_another(
    client: Client, neighbour: Client, database: Database
) -> None:
    job_id, _ = with_output(client, database)
    paths = {
        "GET": ["", "/history", "/outputs/0", "?wait=1"],
        "POST": ["/cancel", "/retry"],
    }

    answers = {
        (method, path): neighbour.call(method, f"/v1/jobs/{job_id}{path}")
        for method, ends in paths.items()
        for path in ends
    }

    assert {call: answer.status_code for call, answer in answers.items()} == dict.fromkeys(
        answers, 404
    )
    assert neighbour.get("/v1/jobs").json()["items"] == []
    assert neighbour.get("/v1/usage").json()["jobs"] == {}
    assert client.get(f"/v1/jobs/{job_id}").status_code == 200


def test_an_asset_of_another_project_cannot_be_used(client: Client, neighbour: Client) -> None:
    data = base64.b64encode(png()).decode()
    body = {"operation": "upscale/fast", "inputs": {"image": f"data:image/png;base64,{data}"}}
    reference = client.post("/v1/jobs", json=body).json()["inputs"]["image"]

    answer = neighbour.post("/v1/jobs", json=body | {"inputs": {"image": reference}})

    assert faults(answer) == {("inputs.image", "unknown_asset")}


def test_usage_counts_the_projects_jobs_and_credits(client: Client, database: Database) -> None:
    submit(client)
    with database.transaction() as db:
        make_job(db, JobState.SUCCEEDED, project_id="acme", charged_milli=2500)

    usage = client.get("/v1/usage").json()

    assert usage == {
        "project": "acme",
        "jobs": {"queued": 1, "succeeded": 1},
        "credits": {"spent": 2.5},
        "weight": 1,
        "max_in_flight": None,
        "paused_by": [],
        "workers": 0,
        "probe_at": None,
        "limits": {"requests": None, "open_jobs": None, "batch_rows": None, "bytes": None},
    }


def test_the_balance_shows_credentials_without_their_keys(
    client: Client, database: Database
) -> None:
    client.app.state.parts.keyring.register()

    answer = client.get("/v1/balance")

    assert [c["name"] for c in answer.json()["credentials"]] == ["setting 1"]
    assert "sk-test" not in answer.text


def test_an_estimate_sums_prices_and_lets_nothing_in(client: Client) -> None:
    ultra = {"operation": "generate/ultra", "params": {"prompt": "x"}}

    answer = client.post("/v1/estimate", json={"jobs": [CORE, CORE, ultra]})

    assert answer.json()["credits"] == 14
    assert answer.json()["by_operation"] == {"generate/core": 2, "generate/ultra": 1}
    assert client.get("/v1/jobs").json()["items"] == []


def test_faults_in_a_list_of_jobs_name_the_job(client: Client) -> None:
    answer = client.post("/v1/estimate", json={"jobs": [CORE, {"operation": "generate/core"}]})

    assert faults(answer) == {("jobs[1].params.prompt", "required")}


def test_operations_describe_their_parameters(client: Client) -> None:
    listed = client.get("/v1/operations").json()["items"]
    one = client.get("/v1/operations/generate/core").json()

    assert one in listed
    assert one["params"]["required"] == ["prompt"]
    assert one["params"]["properties"]["prompt"]["maxLength"] == 10_000
    assert one["credits"] == {"least": 3, "most": 3}
    assert client.get("/v1/operations/generate/none").status_code == 404


def test_the_answer_to_a_submission_is_what_a_look_shows(client: Client) -> None:
    told = submit(client, metadata={"n": [1, 2.5, None]}, run_at="2099-01-01T00:00:00Z")

    seen = client.get(f"/v1/jobs/{told['id']}").json()

    # Only a look knows the job's place among the others.
    assert told == seen | {"position": None, "eta": None}
