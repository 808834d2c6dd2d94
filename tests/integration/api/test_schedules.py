"""`/v1/schedules`: made, changed, run and forgotten, and what is refused."""

from typing import Any

import pytest
import requests

from tests.integration.api.conftest import KeyMaker
from tests.integration.api.serving import Client

CORE = {"operation": "generate/core", "params": {"prompt": "a lighthouse"}}
DAILY = {"cron": "0 7 * * *", "timezone": "Europe/Berlin", "template": CORE}


def create(client: Client, **changes: Any) -> dict[str, Any]:
    answer = client.post("/v1/schedules", json=DAILY | changes)
    assert answer.status_code == 201, answer.text
    schedule: dict[str, Any] = answer.json()
    return schedule


def faults(answer: requests.Response) -> set[str]:
    assert answer.status_code == 422, answer.text
    return {fault["field"] for fault in answer.json()["faults"]}


def test_a_schedule_is_made_and_says_when_it_runs_next(client: Client) -> None:
    schedule = create(client, name="every morning")

    assert (schedule["name"], schedule["overlap"], schedule["enabled"]) == (
        "every morning",
        "skip",
        True,
    )
    assert schedule["next_run_at"].endswith((":00:00Z",))
    assert (schedule["template"], schedule["runs"]) == (CORE, [])
    assert client.get(f"/v1/schedules/{schedule['id']}").json() == schedule
    assert client.get("/v1/schedules").json()["items"] == [schedule]


def test_a_run_by_hand_lets_its_job_in(client: Client) -> None:
    schedule = create(client)

    answer = client.post(f"/v1/schedules/{schedule['id']}/run")

    (run,) = answer.json()["runs"]
    assert (answer.status_code, run["cause"], run["skipped_because"]) == (202, "hand", None)
    job = client.get(f"/v1/jobs/{run['job_id']}").json()
    assert (job["state"], job["params"]) == ("queued", CORE["params"])
    assert answer.json()["next_run_at"] == schedule["next_run_at"]


def test_a_run_by_hand_of_a_batch_lets_its_jobs_in(client: Client) -> None:
    template = {
        "operation": "generate/core",
        "defaults": {"params": {"aspect_ratio": "16:9"}},
        "jobs": [{"params": {"prompt": "one"}}, {"params": {"prompt": "two"}}],
        "budget": 3,
    }
    schedule = create(client, name="pair", template=template)

    (run,) = client.post(f"/v1/schedules/{schedule['id']}/run").json()["runs"]

    batch = client.get(f"/v1/batches/{run['batch_id']}").json()
    assert batch["name"].startswith("pair ")
    assert (batch["size"], batch["counts"]) == (2, {"queued": 1, "held": 1})
    assert batch["credits"] == {"estimated": 6, "spent": 0, "lost_at_most": 0, "budget": 3}


def test_a_second_run_is_skipped_and_told_while_the_first_is_open(client: Client) -> None:
    path = f"/v1/schedules/{create(client)['id']}/run"

    client.post(path)
    second, first = client.post(path).json()["runs"]

    assert first["job_id"] is not None
    assert (second["job_id"], "not over" in second["skipped_because"]) == (None, True)


def test_a_schedule_is_paused_and_resumed(client: Client) -> None:
    schedule = create(client)
    path = f"/v1/schedules/{schedule['id']}"

    paused = client.call("PATCH", path, json={"enabled": False}).json()
    resumed = client.call("PATCH", path, json={"enabled": True}).json()

    assert (paused["enabled"], paused["next_run_at"]) == (False, None)
    assert resumed == schedule


def test_what_is_named_is_changed_and_the_rest_stays(client: Client) -> None:
    path = f"/v1/schedules/{create(client, name='old')['id']}"
    other = {"operation": "generate/ultra", "params": {"prompt": "a hare"}}

    changed = client.call("PATCH", path, json={"cron": "30 8 * * *", "template": other}).json()
    (run,) = client.post(f"{path}/run").json()["runs"]

    assert (changed["name"], changed["cron"], changed["template"]) == ("old", "30 8 * * *", other)
    assert ":30:00" in changed["next_run_at"]
    assert client.get(f"/v1/jobs/{run['job_id']}").json()["operation"] == "generate/ultra"


def test_a_deleted_schedule_is_gone_and_its_jobs_stay(client: Client) -> None:
    path = f"/v1/schedules/{create(client)['id']}"
    (run,) = client.post(f"{path}/run").json()["runs"]

    answer = client.call("DELETE", path)

    assert (answer.status_code, answer.content) == (204, b"")
    assert client.get(path).status_code == 404
    assert client.get("/v1/schedules").json()["items"] == []
    assert client.get(f"/v1/jobs/{run['job_id']}").json()["state"] == "queued"


def test_every_fault_of_the_form_is_named(client: Client) -> None:
    wrong = {"cron": "61 * * * *", "timezone": "Mars/Base", "overlap": "maybe", "start_at": "soon"}

    answer = client.post("/v1/schedules", json={**wrong, "template": CORE, "colour": 1})

    assert faults(answer) == {*wrong, "colour"}


@pytest.mark.parametrize(
    ("template", "fields"),
    [
        ({}, {"template.operation"}),
        (CORE | {"params": {"prompt": 7}}, {"template.params.prompt"}),
        (CORE | {"run_at": "2030-01-01T00:00:00Z"}, {"template.run_at"}),
        (CORE | {"depends_on": ["0" * 26]}, {"template.depends_on"}),
        (
            {"operation": "upscale/fast", "inputs": {"image": "0" * 26}},
            {"template.inputs.image"},
        ),
        (
            {"jobs": [CORE, {"operation": "generate/core"}, 7]},
            {"template.jobs[1].params.prompt", "template.jobs[2]"},
        ),
        ({"jobs": []}, {"template.jobs"}),
        ({"jobs": [CORE] * 1001}, {"template.jobs"}),
    ],
    ids=["empty", "params", "date", "needs", "asset", "rows", "no-rows", "too-many"],
)
def test_a_template_is_checked_as_if_it_were_submitted(
    client: Client, template: Any, fields: set[str]
) -> None:
    assert faults(client.post("/v1/schedules", json=DAILY | {"template": template})) == fields


@pytest.mark.parametrize("change", [{}, {"cron": None}, {"cron": ""}, {"template": {}}])
def test_a_change_that_makes_no_sense_is_refused(client: Client, change: Any) -> None:
    path = f"/v1/schedules/{create(client)['id']}"

    assert client.call("PATCH", path, json=change).status_code == 422


def test_another_projects_schedule_is_not_there(client: Client, make_key: KeyMaker) -> None:
    path = f"/v1/schedules/{create(client)['id']}"
    other = client.with_key(make_key("others"))

    answers = [
        other.get(path),
        other.post(f"{path}/run"),
        other.call("PATCH", path, json={"enabled": False}),
        other.call("DELETE", path),
    ]

    assert [answer.status_code for answer in answers] == [404] * 4
    assert other.get("/v1/schedules").json()["items"] == []
    assert client.get(path).json()["enabled"] is True
