"""Pause, resume, front and terms over HTTP, and what everybody is told of them."""

from typing import Any

import pytest

from jobs import credentials
from jobs.db import Database
from jobs.states import JobState
from tests.factories import make_batch, make_job
from tests.integration.api.conftest import KeyMaker
from tests.integration.api.serving import Client

CORE = {"operation": "generate/core", "params": {"prompt": "a hare"}}


@pytest.fixture
def admin(stranger: Client, make_key: KeyMaker) -> Client:
    """A caller who may do everything in the project `acme`."""
    return stranger.with_key(make_key("acme", "admin"))


def create_batch(client: Client, **body: Any) -> str:
    jobs = [{"params": {"prompt": text}} for text in ("one", "two")]
    answer = client.post("/v1/batches", json={"operation": "generate/core", "jobs": jobs, **body})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def test_a_project_is_paused_and_everybody_in_it_is_told(client: Client, admin: Client) -> None:
    batch_id = create_batch(client)
    job = client.post("/v1/jobs", json=CORE).json()

    paused = admin.post("/v1/pause").json()
    batch = client.get(f"/v1/batches/{batch_id}").json()
    seen = client.get(f"/v1/jobs/{job['id']}").json()
    resumed = admin.post("/v1/resume").json()

    assert paused["paused_by"] == batch["paused_by"] == ["project"]
    assert (batch["eta"], batch["eta_seconds"], seen["eta"]) == (None, None, None)
    assert seen["position"] == 1
    assert resumed["paused_by"] == client.get("/v1/usage").json()["paused_by"] == []


def test_a_pause_stops_no_other_project(admin: Client, neighbour: Client) -> None:
    admin.post("/v1/pause")

    assert neighbour.get("/v1/usage").json()["paused_by"] == []


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_only_an_admin_pauses_a_project(client: Client, verb: str) -> None:
    assert client.post(f"/v1/{verb}").status_code == 403


def test_a_batch_says_that_no_credential_may_pay(client: Client, database: Database) -> None:
    batch_id = create_batch(client)
    client.app.state.parts.keyring.register()
    with database.transaction() as db:
        for row in credentials.list_credentials(db):
            credentials.stop(db, row.id, "funds", database.now())

    assert client.get(f"/v1/batches/{batch_id}").json()["paused_by"] == ["credentials"]


def test_a_job_that_is_moved_to_the_front_is_the_next(client: Client) -> None:
    ids = [client.post("/v1/jobs", json=CORE).json()["id"] for _ in range(3)]
    assert client.get(f"/v1/jobs/{ids[2]}").json()["position"] == 3

    answer = client.post(f"/v1/jobs/{ids[2]}/front")

    assert answer.status_code == 200
    assert [client.get(f"/v1/jobs/{i}").json()["position"] for i in ids] == [2, 3, 1]
    told = client.get(f"/v1/jobs/{ids[2]}/history").json()["events"]
    assert told[-1]["verb"] == "fronted"


def test_a_job_that_has_ended_is_not_moved(client: Client, database: Database) -> None:
    with database.transaction() as db:
        job_id = make_job(db, JobState.SUCCEEDED, project_id="acme")

    answer = client.post(f"/v1/jobs/{job_id}/front")

    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


def test_a_batch_is_moved_to_the_front(client: Client) -> None:
    create_batch(client)
    batch_id = create_batch(client)

    moved = client.post(f"/v1/batches/{batch_id}/front").json()

    assert moved["fronted_at"] is not None
    places = {
        job["batch_id"]: client.get(f"/v1/jobs/{job['id']}").json()["position"]
        for job in client.get("/v1/jobs").json()["items"]
        if job["row"] == 0
    }
    assert places[batch_id] == min(places.values()) == 1


def test_the_terms_of_a_batch_change_while_it_runs(client: Client) -> None:
    batch_id = create_batch(client, budget=3)
    change = {"priority": 7, "weight": 3, "max_in_flight": 20, "budget": 9.5}

    changed = client.call("PATCH", f"/v1/batches/{batch_id}", json=change).json()

    assert {name: changed[name] for name in ("priority", "weight", "max_in_flight")} == {
        "priority": 7,
        "weight": 3,
        "max_in_flight": 20,
    }
    assert (changed["credits"]["budget"], changed["under_way"]) == (9.5, None)
    jobs = client.get(f"/v1/jobs?batch={batch_id}").json()["items"]
    assert {job["priority"] for job in jobs} == {7}

    freed = client.call(
        "PATCH", f"/v1/batches/{batch_id}", json={"max_in_flight": None, "budget": None}
    ).json()
    assert (freed["max_in_flight"], freed["credits"]["budget"]) == (None, None)
    assert (freed["priority"], freed["weight"]) == (7, 3)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({}, ""),
        ({"weight": 0}, "weight"),
        ({"weight": None}, "weight"),
        ({"priority": "high"}, "priority"),
        ({"max_in_flight": 0}, "max_in_flight"),
        ({"budget": -1}, "budget"),
        ({"size": 3}, "size"),
    ],
    ids=str,
)
def test_a_change_that_makes_no_sense_is_refused(
    client: Client, change: dict[str, Any], field: str
) -> None:
    batch_id = create_batch(client)

    answer = client.call("PATCH", f"/v1/batches/{batch_id}", json=change)

    assert answer.status_code == 422
    assert [fault["field"] for fault in answer.json()["faults"]] == [field]


def test_nothing_of_another_project_is_moved_or_changed(
    neighbour: Client, database: Database
) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db, project_id="acme")
        job_id = make_job(db, project_id="acme", batch_id=batch_id, row=0)

    answers = [
        neighbour.post(f"/v1/jobs/{job_id}/front"),
        neighbour.post(f"/v1/batches/{batch_id}/front"),
        neighbour.call("PATCH", f"/v1/batches/{batch_id}", json={"weight": 2}),
        neighbour.get(f"/v1/jobs?batch={batch_id}"),
    ]

    assert [answer.status_code for answer in answers] == [404, 404, 404, 200]
    assert answers[-1].json()["items"] == []
