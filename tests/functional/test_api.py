"""The HTTP interface as a user has it: commands, a worker, the sandbox, and calls from outside."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.functional.darkroom import DEADLINE_SECONDS, REPOSITORY, Darkroom
from tests.functional.shop import Shop, open_shop
from tests.integration.sandbox.caller import Caller
from tests.servers import wait_until

CORE = {"operation": "generate/core", "params": {"prompt": "a hare"}}


@pytest.fixture
def shop(darkroom: Darkroom, api: Caller, redis_url: str) -> Iterator[Shop]:
    """The interface, and a worker that dispatches."""
    user = darkroom.asking(api).having(REDIS_URL=redis_url, DARKROOM_POLL_SECONDS="0.5")
    with open_shop(user) as shop:
        yield shop


def test_a_job_from_outside_is_made_and_fetched(shop: Shop) -> None:
    job = shop.call("POST", "/v1/jobs", json=CORE).json()

    done = shop.call("GET", f"/v1/jobs/{job['id']}?wait=60").json()
    picture = shop.call("GET", done["outputs"][0]["url"])

    assert (done["state"], done["credits"]["charged"]) == ("succeeded", 3)
    assert len(picture.content) == done["outputs"][0]["bytes"]
    assert picture.headers["content-type"] == done["outputs"][0]["content_type"]


def test_the_tour_of_the_documents_works_line_by_line(shop: Shop) -> None:
    tour = re.search(r"```bash\n(.*?)```", (REPOSITORY / "docs/api.md").read_text(), re.DOTALL)
    assert tour is not None

    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", tour[1]],
        cwd=shop.darkroom.folder,
        env=shop.darkroom.environment | {"DARKROOM": shop.address, "KEY": shop.key},
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    assert Path(shop.darkroom.folder / "hare.png").stat().st_size > 0
    assert '"state":"succeeded"' in ended.stdout


def test_on_sigterm_whoever_waits_is_answered_and_the_process_ends(shop: Shop) -> None:
    shop.call("GET", "/readyz")
    with requests.get(
        f"{shop.address}/v1/events",
        headers={"authorization": f"Bearer {shop.key}"},
        stream=True,
        timeout=90,
    ) as events:
        lines = events.iter_lines(chunk_size=1)
        assert next(lines).startswith(b": listening")

        shop.process.terminate()

        assert not any(lines)
        assert shop.process.end().code == 0


def test_keys_are_listed_without_secrets_and_revoked(shop: Shop) -> None:
    (listed,) = shop.darkroom.run("keys", "list", "--json").json
    assert listed["project"] == "shop"
    assert shop.key not in str(listed)
    assert shop.call("GET", "/v1/usage").status_code == 200

    assert shop.darkroom.run("keys", "revoke", listed["id"]).code == 0

    wait_until(lambda: shop.call("GET", "/v1/usage").status_code == 401, "the key is refused")


def test_a_key_is_limited_and_rotated(darkroom: Darkroom) -> None:
    limits = ("--limit", "requests=50", "--limit", "open-jobs=1000")
    made = darkroom.run("keys", "create", "--project", "shop", *limits, "--json").json

    changed = darkroom.run("keys", "limit", made["id"], "bytes=1000", "requests=none", "--json")
    rotated = darkroom.run("keys", "rotate", made["id"], "--overlap", "1h", "--json").json

    assert made["limits"] == {"requests": 50, "open_jobs": 1000}
    assert changed.json["limits"] == {
        "requests": None,
        "open_jobs": 1000,
        "batch_rows": None,
        "bytes": 1000,
    }
    assert rotated["key"] != made["key"]
    assert (rotated["project"], rotated["limits"]) == ("shop", {"open_jobs": 1000, "bytes": 1000})
    assert rotated["replaces"]["id"] == made["id"]
    for wrong in (("limit", made["id"], "requests=0"), ("rotate", made["id"], "--overlap", "soon")):
        assert darkroom.run("keys", *wrong).code == 2


@pytest.mark.parametrize(
    "options",
    [("--project", "Bad Name"), ("--scopes", "all"), ("--days", "0"), ("--limit", "speed=9")],
    ids=["project", "scopes", "days", "limit"],
)
def test_a_key_that_makes_no_sense_is_refused(darkroom: Darkroom, options: tuple[str, str]) -> None:
    ended = darkroom.run("keys", "create", *options)

    assert ended.code == 2
    assert options[0] in ended.err


def test_without_a_redis_the_api_says_what_to_do(darkroom: Darkroom) -> None:
    ended = darkroom.run("api")

    assert ended.code == 2
    assert "REDIS_URL" in ended.err
