"""`request` over HTTP: submitted, priced and described like any operation."""

from base64 import b64encode
from typing import Any

import jsonschema
import pytest

from tests.integration.api.serving import Client
from tests.integration.sandbox.caller import picture

PARAMS = {"path": "/v2beta/next/thing", "credits": 2.5, "fields": {"prompt": "a hare"}}
JOB = {"operation": "request", "params": PARAMS}


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """One database: what is tested here is the same on both."""
    return sqlite_url


def test_it_is_submitted_like_any_operation(client: Client) -> None:
    job = client.post("/v1/jobs", json=JOB, headers={"idempotency-key": "a"})
    again = client.post("/v1/jobs", json=JOB, headers={"idempotency-key": "a"})

    assert (job.status_code, again.status_code) == (202, 200)
    assert job.json()["id"] == again.json()["id"]
    assert job.json()["params"] == PARAMS
    assert job.json()["credits"]["estimated"] == 2.5


def test_a_file_of_any_name_becomes_an_asset(client: Client) -> None:
    data = "data:image/png;base64," + b64encode(picture(64, 64)).decode()

    job = client.post("/v1/jobs", json={**JOB, "inputs": {"style_reference": data}}).json()

    assert job["inputs"]["style_reference"].startswith("asset:")


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"path": "/v2beta/stable-image/generate/core"}, "params.path", "known_operation"),
        ({"credits": None}, "params.credits", "required"),
        ({"prompt": "a"}, "params.prompt", "unknown_parameter"),
    ],
)
def test_what_is_wrong_is_told_by_place_and_code(
    client: Client, changes: dict[str, Any], field: str, code: str
) -> None:
    answer = client.post("/v1/jobs", json={**JOB, "params": {**PARAMS, **changes}})

    assert answer.status_code == 422
    (fault,) = answer.json()["faults"]
    assert (fault["field"], fault["code"]) == (field, code)


def test_a_file_beside_a_json_body_is_refused_where_it_stands(client: Client) -> None:
    reference = "https://example.com/a.png"
    job = {**JOB, "params": {**PARAMS, "body": "json"}, "inputs": {"style": reference}}

    (fault,) = client.post("/v1/jobs", json=job).json()["faults"]

    assert (fault["field"], fault["code"]) == ("inputs.style", "conflict")


def test_a_budget_holds_what_it_has_no_room_for(client: Client) -> None:
    batch = {"name": "next", "operation": "request", "budget": 3, "jobs": [{"params": PARAMS}] * 2}

    batch_id = client.post("/v1/batches", json=batch).json()["id"]

    states = client.get(f"/v1/jobs?batch={batch_id}").json()["items"]
    assert sorted((job["state"], job["held_for"]) for job in states) == [
        ("held", "budget"),
        ("queued", None),
    ]


def test_it_is_estimated_at_the_stated_price(client: Client) -> None:
    estimate = client.post("/v1/estimate", json={"jobs": [JOB, JOB]}).json()

    assert (estimate["credits"], estimate["by_operation"]) == (5, {"request": 2})


def test_its_schema_takes_what_the_interface_takes(client: Client) -> None:
    told = client.get("/v1/operations/request").json()

    assert (told["mode"], told["media"]) == ("either", "any")
    assert told["credits"] == {"least": 0, "most": None}
    jsonschema.validate(PARAMS, told["params"])
    jsonschema.validate({"style_reference": "asset:a"}, told["inputs"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**PARAMS, "path": "/v2beta/../a"}, told["params"])


def test_it_has_no_address_among_stabilitys_own(client: Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]

    assert not [path for path in paths if "{path}" in path]
    assert client.post("/stability/v2beta/next/thing").status_code == 404
