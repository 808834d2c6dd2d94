"""`request` from the command line and from a manifest."""

import json

from tests.functional.darkroom import Darkroom
from tests.functional.ledger import accounts
from tests.functional.manifests import write_csv, write_picture
from tests.integration.sandbox.caller import Caller

PICTURE = "/v2beta/sandbox/picture"


def test_a_request_is_submitted_waited_for_and_written(darkroom: Darkroom, api: Caller) -> None:
    write_picture(darkroom.folder / "style.png", 96, 64)

    ended = darkroom.asking(api).run(
        *("submit", "request", f"path={PICTURE}", "credits=2", "fields.prompt=a hare"),
        *("fields.seed=7", "image=style.png", "style_reference=@style.png"),
        *("--wait", "--out", "hare.png", "--json"),
    )

    assert ended.code == 0, ended
    assert ended.json["params"]["fields"] == {"prompt": "a hare", "seed": 7}
    assert (ended.json["seed"], ended.json["credits"]["charged"]) == (7, 2)
    assert (darkroom.folder / "hare.png").read_bytes().startswith(b"\x89PNG")


def test_rows_of_a_manifest_are_requests_too(darkroom: Darkroom, api: Caller) -> None:
    write_picture(darkroom.folder / "style.png", 96, 64)
    rows = [
        {"path": PICTURE, "fields.prompt": "a hare", "style_reference": "style.png"},
        {"path": "/v2beta/sandbox/later", "fields.prompt": "a lake", "style_reference": ""},
        {"path": "/v2beta/nothing", "fields.prompt": "a mill", "style_reference": ""},
    ]
    manifest = write_csv(darkroom.folder / "next.csv", rows)
    user = darkroom.asking(api).having(DARKROOM_POLL_SECONDS="0.2")
    command = ("run", manifest, "--operation", "request", "--set", "credits=2", "--yes")

    ended = user.run(*command, "--out", "out", "--budget", 6)
    failed = user.run(*command[:1], "out/failed.jsonl", "--dry-run", "--json")

    assert ended.code == 1, ended
    assert sum(account["charged"] for account in accounts(api)) == 2
    assert len(list((darkroom.folder / "out").rglob("*.png"))) == 2
    metadata = (darkroom.folder / "out" / "metadata.jsonl").read_text().splitlines()
    assert {json.loads(line)["prompt"] for line in metadata} == {"a hare", "a lake"}
    assert (failed.code, failed.json["rows"], failed.json["credits"]) == (0, 1, 2), failed


def test_wrong_requests_are_told_line_by_line_before_anything_is_sent(
    darkroom: Darkroom, api: Caller
) -> None:
    rows = [
        {"path": "/v2beta/stable-image/generate/core", "credits": 3, "fields.prompt": "a"},
        {"path": "/v2beta/next", "credits": "", "fields.prompt": "a"},
        {"path": "next", "credits": 3, "fields.prompt": "a"},
    ]
    manifest = write_csv(darkroom.folder / "faulty.csv", rows)

    ended = darkroom.asking(api).run("run", manifest, "--operation", "request", "--yes")

    assert ended.code == 2
    first, second, third = ended.complaints[-3:]
    assert "row 1 (line 2): path: is the operation generate/core: submit that" in first
    assert "row 2 (line 3): credits: is required" in second
    assert "row 3 (line 4): path: must be a path of the API such as" in third
    assert accounts(api) == []
