"""`/v1/batches`: lists, streams, and the start."""

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from sqlalchemy import func, select

from api.rows import ROWS_AT_ONCE
from jobs.db import Database
from jobs.models import Job, table
from jobs.states import JobState
from tests.factories import NOW, make_batch, make_job
from tests.integration.api.serving import Client
from tests.servers import wait_until

JOB = table(Job)
CORE = "generate/core"


def prompts(*texts: str) -> list[dict[str, Any]]:
    return [{"params": {"prompt": text}} for text in texts]


def create(client: Client, **body: Any) -> requests.Response:
    return client.post("/v1/batches", json={"operation": CORE, **body})


def lines(rows: Iterable[Any]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def stream(client: Client, batch_id: str, data: Any, query: str = "") -> requests.Response:
    headers = {"content-type": "application/x-ndjson"}
    return client.post(f"/v1/batches/{batch_id}/jobs{query}", data=data, headers=headers)


def test_a_list_of_jobs_starts_at_once(client: Client) -> None:
    defaults = {"params": {"aspect_ratio": "16:9"}, "metadata": {"a": 1}}

    answer = create(client, name="hares", defaults=defaults, jobs=prompts("one", "two"))

    batch = answer.json()
    assert answer.status_code == 202, answer.text
    assert (batch["size"], batch["counts"], batch["accepted"]) == (2, {"queued": 2}, 2)
    assert batch["credits"] == {"estimated": 6, "spent": 0, "lost_at_most": 0, "budget": None}
    assert batch["started_at"] is not None
    job = client.get(f"/v1/jobs?batch={batch['id']}").json()["items"][0]
    assert job["params"] == {"prompt": "two", "aspect_ratio": "16:9"}
    assert (job["row"], job["priority"], job["metadata"]) == (1, 0, {"a": 1})


def test_faulty_rows_are_named_and_the_others_go_on(client: Client) -> None:
    wrong = [{"params": {}}, {"operation": "upscale/fast", "inputs": {"image": "0" * 26}}, 7]

    batch = create(client, jobs=[*prompts("one"), *wrong]).json()

    assert (batch["accepted"], batch["refused"], batch["counts"]) == (1, 3, {"queued": 1})
    found = {error["row"]: error["faults"][0] for error in batch["errors"]}
    assert [(row, fault["field"]) for row, fault in found.items()] == [
        (1, "params.prompt"),
        (2, "inputs.image"),
        (3, ""),
    ]


def test_a_field_that_no_job_has_is_told_with_those_that_it_has(client: Client) -> None:
    answer = create(client, jobs=[{**prompts("one")[0], "name": "a hare"}])

    (fault,) = answer.json()["faults"]
    assert (fault["field"], fault["code"]) == ("jobs[0].name", "extra_forbidden")
    assert "those are operation, params, inputs," in fault["message"]
    assert "goes into metadata" in fault["message"]


def test_a_list_with_faults_only_makes_no_batch(client: Client) -> None:
    answer = create(client, name="hares", jobs=[{}, {"params": {"prompt": 1}}])

    assert answer.status_code == 422
    assert {fault["field"] for fault in answer.json()["faults"]} == {
        "jobs[0].params.prompt",
        "jobs[1].params.prompt",
    }
    assert client.get("/v1/batches").json()["items"] == []


def test_the_same_batch_again_is_the_same_and_another_a_conflict(client: Client) -> None:
    first = create(client, name="hares", jobs=prompts("one")).json()
    again = create(client, name="hares", jobs=prompts("one"))
    other = create(client, name="hares", jobs=prompts("two"))

    assert (again.status_code, again.json()["id"]) == (202, first["id"])
    assert again.json()["counts"] == {"queued": 1}
    assert other.status_code == 409


def test_the_same_batch_ten_times_at_once_is_one(client: Client) -> None:
    with ThreadPoolExecutor(10) as pool:
        answers = list(
            pool.map(lambda _: create(client, name="x", jobs=prompts("a", "b")), range(10))
        )

    assert {answer.status_code for answer in answers} == {202}, [a.text for a in answers]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert client.get("/v1/usage").json()["jobs"] == {"queued": 2}


def test_a_budget_holds_what_it_has_no_room_for(client: Client) -> None:
    batch = create(client, jobs=prompts("one", "two", "three"), budget=7.5).json()

    assert batch["counts"] == {"queued": 2, "held": 1}
    assert batch["credits"]["budget"] == 7.5


def test_streamed_rows_wait_for_the_start(client: Client, database: Database) -> None:
    batch_id = create(client, name="hares").json()["id"]

    report = stream(client, batch_id, lines(prompts("one", "two"))).json()
    waiting = client.get(f"/v1/batches/{batch_id}").json()
    with database.reading() as db:
        due = db.execute(select(func.count(JOB.c.due_at))).scalar_one()
    started = client.post(f"/v1/batches/{batch_id}/start")

    assert report == {"accepted": 2, "refused": 0, "errors": [], "next_row": 2}
    assert (waiting["counts"], waiting["started_at"], due) == ({"waiting": 2}, None, 0)
    assert (started.status_code, started.json()["counts"]) == (202, {"queued": 2})
    assert started.json()["credits"]["estimated"] == 6


def test_a_start_again_changes_nothing_and_takes_no_more_rows(client: Client) -> None:
    batch_id = create(client).json()["id"]
    stream(client, batch_id, lines(prompts("one")))
    first = client.post(f"/v1/batches/{batch_id}/start").json()

    again = client.post(f"/v1/batches/{batch_id}/start").json()
    late = stream(client, batch_id, lines(prompts("two")), "?from_row=1")

    assert again["started_at"] == first["started_at"]
    assert (late.status_code, late.json()["code"]) == (409, "conflict")


def test_a_stream_goes_on_where_it_was_cut_off(client: Client) -> None:
    batch_id = create(client).json()["id"]
    rows = prompts(*(f"row {n}" for n in range(2 * ROWS_AT_ONCE + 200)))

    def rows_in() -> int:
        found: int = client.get(f"/v1/batches/{batch_id}").json()["next_row"]
        return found

    def cut() -> Iterator[bytes]:
        yield lines(rows[:-100])
        wait_until(lambda: rows_in() == 2 * ROWS_AT_ONCE, "two pieces are in")
        raise ConnectionError("the cable was pulled")

    with pytest.raises(requests.ConnectionError):
        stream(client, batch_id, cut())
    # Some rows that are there already do no harm.
    report = stream(client, batch_id, lines(rows[900:]), "?from_row=900").json()

    assert report["next_row"] == len(rows)
    assert client.get(f"/v1/batches/{batch_id}").json()["size"] == len(rows)


def test_a_stream_names_its_faulty_rows(client: Client) -> None:
    batch_id = create(client).json()["id"]
    data = lines(prompts("one")) + b"{nonsense\n\n[]\n" + lines([{"params": {"cfg": 1}}])

    report = stream(client, batch_id, data, "?from_row=10").json()

    assert (report["accepted"], report["refused"], report["next_row"]) == (1, 3, 11)
    assert [(e["row"], e["faults"][0]["code"]) for e in report["errors"]] == [
        (11, "json_invalid"),
        (12, "model_type"),
        (13, "unknown_parameter"),
    ]


def test_a_line_without_an_end_is_refused(client: Client) -> None:
    batch_id = create(client).json()["id"]

    answer = stream(client, batch_id, b"x" * 6 * 1024 * 1024)

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_pause_resume_cancel_and_retry(client: Client) -> None:
    batch_id = create(client, jobs=prompts("one", "two")).json()["id"]

    paused = client.post(f"/v1/batches/{batch_id}/pause").json()
    resumed = client.post(f"/v1/batches/{batch_id}/resume").json()
    canceled = client.post(f"/v1/batches/{batch_id}/cancel").json()

    assert paused["paused_at"] is not None
    assert resumed["paused_at"] is None
    assert canceled == {"changed": 2, "is_over": True}
    assert client.get(f"/v1/batches/{batch_id}").json()["counts"] == {"canceled": 2}


def test_a_batch_that_has_finished_is_not_canceled(client: Client, database: Database) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db, project_id="acme", loaded_at=NOW)
        make_job(db, JobState.SUCCEEDED, project_id="acme", batch_id=batch_id, row=0)

    answer = client.post(f"/v1/batches/{batch_id}/cancel")

    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert "has finished already" in answer.json()["detail"]
    assert client.get(f"/v1/batches/{batch_id}").json()["canceled_at"] is None


def test_failed_jobs_of_a_batch_are_retried(client: Client, database: Database) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db, project_id="acme")
        make_job(db, JobState.FAILED, project_id="acme", batch_id=batch_id, row=0)
        make_job(db, JobState.SUCCEEDED, project_id="acme", batch_id=batch_id, row=1)

    assert client.post(f"/v1/batches/{batch_id}/retry").json() == {"changed": 1, "is_over": True}


def test_a_batch_that_is_not_started_is_not_resumed(client: Client) -> None:
    batch_id = create(client).json()["id"]

    assert client.post(f"/v1/batches/{batch_id}/resume").status_code == 409


def test_batches_are_listed_page_by_page(client: Client) -> None:
    ids = [create(client).json()["id"] for _ in range(3)]

    first = client.get("/v1/batches?limit=2").json()
    second = client.get(f"/v1/batches?limit=2&cursor={first['next_cursor']}").json()

    assert [batch["id"] for batch in first["items"] + second["items"]] == ids[::-1]
    assert second["next_cursor"] is None


def test_no_batch_of_another_project_can_be_touched(client: Client, neighbour: Client) -> None:
    batch_id = create(client, name="hares", jobs=prompts("one")).json()["id"]
    verbs = ("start", "pause", "resume", "cancel", "retry")

    answers = [neighbour.post(f"/v1/batches/{batch_id}/{verb}") for verb in verbs]
    answers += [stream(neighbour, batch_id, b"{}"), neighbour.get(f"/v1/batches/{batch_id}")]

    assert [answer.status_code for answer in answers] == [404] * 7
    assert create(neighbour, name="hares", jobs=prompts("two")).status_code == 202
