"""Flows and schedules as a person has them: files, commands, a worker and the sandbox."""

import json
from pathlib import Path
from typing import Any

from tests.functional.darkroom import Darkroom
from tests.integration.sandbox.caller import Caller
from tests.servers import wait_until

CORE = {"operation": "generate/core", "params": {"prompt": "a hare"}}
CUT = {"operation": "edit/remove-background", "inputs": {"image": "$draw"}}
FLOW = {"name": "hare", "steps": {"cut": CUT, "draw": CORE}}


def write(darkroom: Darkroom, name: str, value: Any) -> Path:
    path = darkroom.folder / name
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def test_a_flow_runs_from_its_first_step_to_its_last(
    darkroom: Darkroom, api: Caller, redis_url: str
) -> None:
    user = darkroom.asking(api).having(REDIS_URL=redis_url)
    file = write(user, "flow.json", FLOW)

    flow = user.run("flows", "submit", file, "--json").json
    with user.running("worker", "--beat"):
        wait_until(
            lambda: (
                user.run("flows", "show", flow["id"], "--json").json["counts"] == {"succeeded": 2}
            ),
            "the flow has succeeded",
        )

    shown = user.run("flows", "show", flow["id"]).out.splitlines()
    assert [line.split()[0] for line in shown] == [flow["id"], "draw", "cut"]
    assert len(api.ledger()["charges"]) == 2
    assert user.run("flows", "retry", flow["id"]).code == 0
    assert user.run("flows").out.startswith(f"{flow['id']}  hare  2 succeeded")


def test_a_flow_may_be_written_as_yaml_and_all_its_faults_are_named(darkroom: Darkroom) -> None:
    file = write(
        darkroom,
        "flow.yaml",
        "steps:\n"
        "  draw: {operation: generate/core, params: {prompt: 7}}\n"
        "  cut: {operation: edit/remove-background, inputs: {image: $nobody}}\n",
    )

    ended = darkroom.run("flows", "submit", file)

    assert ended.code == 2
    assert len(ended.complaints) == 2
    assert "steps.draw.params.prompt" in ended.complaints[0]
    assert "steps.cut.inputs.image: there is no step nobody" in ended.complaints[1]


def test_a_flow_is_canceled(darkroom: Darkroom) -> None:
    flow = darkroom.run("flows", "submit", write(darkroom, "flow.json", FLOW), "--json").json

    canceled = darkroom.run("flows", "cancel", flow["id"], "--json").json

    assert canceled["counts"] == {"canceled": 2}


def test_a_schedule_is_made_run_paused_and_deleted(darkroom: Darkroom) -> None:
    file = write(darkroom, "job.json", CORE)
    asked = ("--cron", "0 7 * * *", "--timezone", "Europe/Berlin", "--name", "dawn", "--json")

    made = darkroom.run("schedules", "create", file, *asked).json
    ran = darkroom.run("schedules", "run", made["id"], "--json").json
    skipped = darkroom.run("schedules", "run", made["id"]).out
    paused = darkroom.run("schedules", "pause", made["id"], "--json").json
    resumed = darkroom.run("schedules", "resume", made["id"], "--json").json
    listed = darkroom.run("schedules", "list", "--json").json
    deleted = darkroom.run("schedules", "delete", made["id"])

    assert made["next_run_at"] is not None
    assert ran["runs"][0]["job_id"] in darkroom.run("jobs").out
    assert "skipped: the run of" in skipped
    assert (paused["enabled"], resumed["enabled"]) == (False, True)
    assert [one["id"] for one in listed] == [made["id"]]
    assert deleted.code == 0
    assert darkroom.run("schedules", "show", made["id"]).code == 2


def test_a_schedule_that_makes_no_sense_is_refused_with_each_fault(darkroom: Darkroom) -> None:
    file = write(darkroom, "job.json", CORE)

    ended = darkroom.run("schedules", "create", file, "--cron", "61 * * * *", "--timezone", "Mars")

    assert ended.code == 2
    assert ["cron" in ended.complaints[0], "timezone" in ended.complaints[1]] == [True, True]
