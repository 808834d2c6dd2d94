"""`/v1/flows` and `depends_on`: jobs that wait for each other, from outside."""

from typing import Any

import pytest
import requests
from sqlalchemy import update

from jobs.db import Database
from jobs.models import Job, new_id, table
from jobs.outcomes import Uncertain
from jobs.queue.settling import settle
from jobs.states import JobState
from tests.factories import fault, make_job, read_claim
from tests.integration.api.conftest import KeyMaker
from tests.integration.api.serving import Client
from workers.maintenance.waker import wake_waiting_jobs

JOB = table(Job)
CORE = {"operation": "generate/core", "params": {"prompt": "a lighthouse"}}
ENLARGE = {"operation": "upscale/fast", "inputs": {"image": "$draw"}}
RECOLOR = {
    "operation": "edit/search-and-recolor",
    "params": {"prompt": "red", "select_prompt": "the roof"},
    "inputs": {"image": "$enlarge#0"},
}
STEPS = {"recolor": RECOLOR, "enlarge": ENLARGE, "draw": CORE}


def submit(client: Client, steps: Any = None, **changes: Any) -> requests.Response:
    return client.post("/v1/flows", json={"steps": steps or STEPS, **changes})


def faults(answer: requests.Response) -> set[tuple[str, str]]:
    assert answer.status_code == 422, answer.text
    return {(fault["field"], fault["code"]) for fault in answer.json()["faults"]}


def states(client: Client, flow: dict[str, Any]) -> dict[str, str]:
    steps = client.get(f"/v1/flows/{flow['id']}").json()["steps"]
    return {name: job["state"] for name, job in steps.items()}


def end(database: Database, job_id: str, state: JobState) -> None:
    now = database.now()
    with database.transaction() as db:
        ended = {"state": state, "finished_at": now, "due_at": None}
        db.execute(update(JOB).where(JOB.c.id == job_id).values(ended))
    wake_waiting_jobs(database)


def test_a_step_may_use_what_a_request_gives(client: Client) -> None:
    call = {"path": "/v2beta/next", "credits": 2}
    steps = {"draw": {"operation": "request", "params": call}, "enlarge": ENLARGE}

    answer = submit(client, steps)

    assert answer.status_code == 202, answer.text
    assert answer.json()["needs"] == {"draw": [], "enlarge": ["draw"]}


def test_the_jobs_of_a_flow_are_tied_by_their_outputs(client: Client) -> None:
    answer = submit(client, name="a red roof")

    flow = answer.json()
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/flows/{flow['id']}"
    assert (flow["name"], flow["counts"]) == ("a red roof", {"queued": 1, "waiting": 2})
    assert list(flow["steps"]) == ["draw", "enlarge", "recolor"]
    assert flow["needs"] == {"draw": [], "enlarge": ["draw"], "recolor": ["enlarge"]}
    draw = flow["steps"]["draw"]
    assert flow["steps"]["enlarge"]["inputs"] == {"image": f"job:{draw['id']}#0"}
    assert client.get(f"/v1/flows/{flow['id']}").json() == flow
    assert client.get(f"/v1/jobs/{draw['id']}").json()["state"] == "queued"


def test_a_step_starts_when_what_it_needs_has_succeeded(client: Client, database: Database) -> None:
    flow = submit(client).json()

    end(database, flow["steps"]["draw"]["id"], JobState.SUCCEEDED)

    assert states(client, flow) == {"draw": "succeeded", "enlarge": "queued", "recolor": "waiting"}


def test_a_step_may_wait_for_another_without_using_it(client: Client) -> None:
    flow = submit(client, {"a": CORE, "b": CORE | {"depends_on": ["a"]}}).json()

    assert flow["needs"] == {"a": [], "b": ["a"]}
    assert states(client, flow) == {"a": "queued", "b": "waiting"}


def test_a_flow_that_failed_is_retried_from_where_it_failed(
    client: Client, database: Database
) -> None:
    flow = submit(client).json()
    end(database, flow["steps"]["draw"]["id"], JobState.SUCCEEDED)
    end(database, flow["steps"]["enlarge"]["id"], JobState.FAILED)
    assert states(client, flow)["recolor"] == "skipped"
    recolor = client.get(f"/v1/jobs/{flow['steps']['recolor']['id']}").json()
    assert recolor["error"]["code"] == "dependency_failed"
    assert flow["steps"]["enlarge"]["id"] in recolor["error"]["message"]

    answer = client.post(f"/v1/flows/{flow['id']}/retry")

    assert answer.status_code == 200, answer.text
    assert states(client, flow) == {"draw": "succeeded", "enlarge": "queued", "recolor": "waiting"}


def test_a_flow_is_canceled_as_far_as_it_was_not_sent(client: Client, database: Database) -> None:
    flow = submit(client).json()
    end(database, flow["steps"]["draw"]["id"], JobState.SUCCEEDED)

    answer = client.post(f"/v1/flows/{flow['id']}/cancel")

    assert answer.json()["counts"] == {"succeeded": 1, "canceled": 2}


def test_a_canceled_flow_makes_no_call_again(client: Client, database: Database) -> None:
    flow = submit(client).json()
    drawn = flow["steps"]["draw"]["id"]
    with database.transaction() as db:
        db.execute(update(JOB).where(JOB.c.id == drawn).values(state=JobState.SUBMITTING))

    client.post(f"/v1/flows/{flow['id']}/cancel")
    with database.transaction() as db:
        settle(db, read_claim(db, drawn), Uncertain(fault()), database.now())

    assert states(client, flow) == {
        "draw": "canceled",
        "enlarge": "canceled",
        "recolor": "canceled",
    }


def test_all_faults_of_all_steps_come_at_once_with_their_paths(client: Client) -> None:
    answer = submit(
        client,
        {
            "a": {"operation": "generate/core", "params": {"prompt": 7}},
            "b": {"operation": "upscale/fast", "inputs": {"image": "$nobody"}},
            "c": {"operation": "upscale/fast", "inputs": {"image": "$a b"}},
            "d": CORE | {"depends_on": ["elsewhere"]},
            "e": 7,
            "f": {"operation": "image-to-video", "inputs": {"image": "$draw"}},
            "g": {"operation": "upscale/fast", "inputs": {"image": "$f"}},
            "h": {"operation": "upscale/fast", "inputs": {"image": "$d#1"}},
            "i": CORE | {"depends_on": "a"},
        },
    )

    assert faults(answer) >= {
        ("steps.b.inputs.image", "unknown_step"),
        ("steps.c.inputs.image", "bad_reference"),
        ("steps.d.depends_on[0]", "unknown_step"),
        ("steps.f.inputs.image", "unknown_step"),
        ("steps.g.inputs.image", "not_an_image"),
        ("steps.h.inputs.image", "unknown_output"),
        ("steps.i.depends_on", "list_type"),
    }
    assert {"steps.a.params.prompt", "steps.e"} <= {field for field, _ in faults(answer)}
    assert client.get("/v1/flows").json()["items"] == []
    assert client.get("/v1/jobs").json()["items"] == []


def test_steps_that_wait_for_each_other_are_named(client: Client) -> None:
    circle = {
        "a": {"operation": "upscale/fast", "inputs": {"image": "$b"}},
        "b": {"operation": "upscale/fast", "inputs": {"image": "$c"}},
        "c": {"operation": "upscale/fast", "inputs": {"image": "$a"}},
        "alone": CORE,
    }

    answer = submit(client, circle)

    assert faults(answer) == {("steps", "cycle")}
    message = answer.json()["faults"][0]["message"]
    assert all(name in message for name in "abc")
    assert "alone" not in message


@pytest.mark.parametrize(
    "body",
    [{}, {"steps": {}}, {"steps": []}, {"steps": {"a b": CORE}}, {"steps": {"a": CORE}, "x": 1}],
    ids=["none", "empty", "list", "name", "unknown"],
)
def test_what_is_no_flow_is_refused(client: Client, body: Any) -> None:
    assert client.post("/v1/flows", json=body).status_code == 422


def test_inputs_from_outside_of_the_flow_are_looked_up(client: Client) -> None:
    answer = submit(client, {"a": ENLARGE | {"inputs": {"image": f"job:{new_id()}"}}})

    assert faults(answer) == {("steps.a.inputs.image", "unknown_job")}


def test_the_same_key_is_the_same_flow_and_another_body_a_conflict(client: Client) -> None:
    def ask(steps: Any) -> requests.Response:
        body = {"steps": steps}
        return client.post("/v1/flows", json=body, headers={"idempotency-key": "once"})

    first, again, other = ask(STEPS), ask(STEPS), ask({"draw": CORE})

    assert (first.status_code, again.status_code, other.status_code) == (202, 200, 409)
    assert first.json()["id"] == again.json()["id"]
    assert other.json()["code"] == "idempotency_mismatch"
    assert len(client.get("/v1/jobs").json()["items"]) == len(STEPS)


def test_flows_are_paged_the_newest_first(client: Client) -> None:
    ids = [submit(client, {"a": CORE}).json()["id"] for _ in range(3)]

    first = client.get("/v1/flows?limit=2").json()
    second = client.get(f"/v1/flows?limit=2&cursor={first['next_cursor']}").json()

    assert [flow["id"] for flow in first["items"] + second["items"]] == ids[::-1]
    assert second["next_cursor"] is None


def test_another_projects_flow_is_not_there(client: Client, make_key: KeyMaker) -> None:
    flow = submit(client).json()
    other = client.with_key(make_key("others"))

    path = f"/v1/flows/{flow['id']}"
    answers = [other.get(path), other.post(f"{path}/cancel"), other.post(f"{path}/retry")]

    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert states(client, flow)["draw"] == "queued"


def test_a_job_waits_for_those_that_it_depends_on(client: Client, database: Database) -> None:
    needed = client.post("/v1/jobs", json=CORE).json()["id"]

    job = client.post("/v1/jobs", json=CORE | {"depends_on": [needed]}).json()
    assert job["state"] == "waiting"
    end(database, needed, JobState.SUCCEEDED)

    assert client.get(f"/v1/jobs/{job['id']}").json()["state"] == "queued"


def test_a_job_waits_for_the_output_that_it_is_to_use(client: Client, database: Database) -> None:
    needed = client.post("/v1/jobs", json=CORE).json()["id"]
    body = {"operation": "upscale/fast", "inputs": {"image": f"job:{needed}"}}

    job = client.post("/v1/jobs", json=body).json()

    assert (job["state"], job["inputs"]) == ("waiting", {"image": f"job:{needed}#0"})


def test_a_dependency_that_is_not_there_or_has_failed_is_a_fault(
    client: Client, database: Database
) -> None:
    with database.transaction() as db:
        foreign = make_job(db, project_id="others")
        failed = make_job(db, JobState.FAILED, project_id="acme")

    ids = [new_id(), foreign, failed]
    answer = client.post("/v1/jobs", json=CORE | {"depends_on": ids})
    form = client.post("/v1/jobs", json=CORE | {"depends_on": ["nonsense"]})

    assert faults(answer) == {
        ("depends_on[0]", "unknown_job"),
        ("depends_on[1]", "unknown_job"),
        ("depends_on[2]", "not_succeeded"),
    }
    assert faults(form) == {("depends_on[0]", "string_pattern_mismatch")}


def test_a_row_of_a_batch_waits_too_and_a_faulty_one_is_named(client: Client) -> None:
    needed = client.post("/v1/jobs", json=CORE).json()["id"]
    rows = [CORE, CORE | {"depends_on": [needed]}, CORE | {"depends_on": [new_id()]}]

    batch = client.post("/v1/batches", json={"jobs": rows}).json()

    assert batch["counts"] == {"queued": 1, "waiting": 1}
    (error,) = batch["errors"]
    assert (error["row"], error["faults"][0]["field"]) == (2, "depends_on[0]")


def test_a_skipped_job_is_retried_after_what_it_needs(client: Client, database: Database) -> None:
    needed = client.post("/v1/jobs", json=CORE).json()["id"]
    job = client.post("/v1/jobs", json=CORE | {"depends_on": [needed]}).json()["id"]
    end(database, needed, JobState.FAILED)

    refused = client.post(f"/v1/jobs/{job}/retry")
    client.post(f"/v1/jobs/{needed}/retry")
    taken = client.post(f"/v1/jobs/{job}/retry")

    assert (refused.status_code, taken.status_code) == (409, 200)
    assert needed in refused.json()["detail"]
    assert taken.json()["state"] == "waiting"


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/flows"])
def test_what_a_key_stands_for_is_found_after_a_job_that_it_needed_has_failed(
    client: Client, path: str
) -> None:
    # Given something that was let in, and whose needed job was canceled then,
    needed = client.post("/v1/jobs", json=CORE | {"run_at": "2090-01-01T00:00:00Z"}).json()["id"]
    job = {"operation": "upscale/fast", "inputs": {"image": f"job:{needed}"}}
    body = job if path == "/v1/jobs" else {"steps": {"enlarge": job}}
    first = client.post(path, json=body, headers={"idempotency-key": "order-7"})
    client.post(f"/v1/jobs/{needed}/cancel")

    # when it is asked for again, then it is that; only under a new key it is refused.
    again = client.post(path, json=body, headers={"idempotency-key": "order-7"})
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json()["id"] == first.json()["id"]
    assert client.post(path, json=body, headers={"idempotency-key": "order-8"}).status_code == 422
