"""Wrong input: a line for each fault, exit code 2, and nothing is sent."""

import socket
from pathlib import Path

import pytest

from tests.functional.darkroom import Darkroom
from tests.functional.ledger import accounts
from tests.functional.manifests import prompts
from tests.integration.sandbox.caller import Caller

FAULTY = {
    "no operation": (b"prompt\na\n", ["row 1 (line 2): operation: is missing"]),
    "an unknown operation": (
        b"operation,prompt\ngenerate/cor,a\n",
        ["row 1 (line 2): operation: 'generate/cor' is not a known operation"],
    ),
    "no prompt": (
        b"operation,prompt\ngenerate/core,a\ngenerate/core,\n",
        ["row 2 (line 3): prompt: is required"],
    ),
    "a missing column": (
        b"operation,seed\ngenerate/core,1\ngenerate/core,2\n",
        ["row 1 (line 2): prompt: is required", "row 2 (line 3): prompt: is required"],
    ),
    "a wrong type": (
        b"operation,prompt,seed\ngenerate/core,a,many\n",
        ["row 1 (line 2): seed: must be a whole number"],
    ),
    "a missing image": (
        b"operation,image\nupscale/fast,gone.png\n",
        ["row 1 (line 2): image: 'gone.png' cannot be read"],
    ),
    "an address that is not to be called": (
        b"operation,image\nupscale/fast,https://x.test/a.png\nupscale/fast,https://127.0.0.1/a.png\n",
        ["row 2 (line 3): image: "],
    ),
    "a bucket that is not ours": (
        b"operation,image\nupscale/fast,s3://pictures/a.png\n",
        ["row 1 (line 2): image: the bucket pictures is not one of DARKROOM_INPUT_BUCKETS"],
    ),
    "bad UTF-8": (b"operation,prompt\ngenerate/core,\xff\n", ["row 1 (line 2): line 2 must be"]),
    "an empty file": (b"", ["faulty.csv: is empty"]),
    "a header alone": (b"operation,prompt\n", ["faulty.csv: has no rows"]),
}


@pytest.mark.parametrize(
    ("host", "complaint"),
    [("127.0.0.1", "Address already in use"), ("nobody.invalid", "")],
)
def test_an_address_on_which_nothing_can_listen_is_named(
    darkroom: Darkroom, host: str, complaint: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        user = darkroom.having(REDIS_URL="redis://127.0.0.1:9")
        ended = user.run("api", "--host", host, "--port", str(port))

    assert ended.code == 2
    (said,) = ended.complaints
    assert said.startswith(f"darkroom: cannot listen on {host}, port {port}: {complaint}")


@pytest.mark.parametrize(("content", "complaints"), FAULTY.values(), ids=FAULTY.keys())
def test_a_manifest_with_faults_is_refused_row_by_row(
    darkroom: Darkroom, content: bytes, complaints: list[str]
) -> None:
    (darkroom.folder / "faulty.csv").write_bytes(content)

    ended = darkroom.run("run", "faulty.csv", "--out", "out")

    assert ended.code == 2
    assert len(ended.complaints) == len(complaints), ended
    for said, expected in zip(ended.complaints, complaints, strict=True):
        assert said.startswith(f"darkroom: {expected}")
    assert_nothing_began(darkroom)


@pytest.mark.parametrize("path", [".", "gone.csv", "notes.txt"])
def test_what_is_no_manifest_is_refused_in_one_line(darkroom: Darkroom, path: str) -> None:
    (darkroom.folder / "notes.txt").write_text("a lake\n")

    ended = darkroom.run("run", path, "--out", "out")

    assert ended.code == 2
    assert len(ended.complaints) == 1, ended
    assert path in ended.err
    assert_nothing_began(darkroom)


NONSENSE = {
    "DARKROOM_RATE": "abc",
    "REDIS_URL": "foo",
    "DATABASE_URL": "foo",
    "STABILITY_API_HOST": "foo",
    "DARKROOM_POLL_SECONDS": "-1",
    "DARKROOM_ON_UNCERTAIN": "maybe",
}


@pytest.mark.parametrize(("name", "value"), NONSENSE.items(), ids=NONSENSE.keys())
def test_a_setting_without_sense_stops_the_start_in_one_line(
    darkroom: Darkroom, name: str, value: str
) -> None:
    prompts(darkroom.folder / "one.csv", "a lake")

    ended = darkroom.having(**{name: value}).run("run", "one.csv")

    assert ended.code == 2
    assert len(ended.complaints) == 1, ended
    assert name in ended.err


UNREACHABLE = {
    "REDIS_URL": "redis://127.0.0.1:1",
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
}


@pytest.mark.parametrize(("name", "value"), UNREACHABLE.items(), ids=UNREACHABLE.keys())
def test_a_server_that_is_away_is_named_in_one_line(
    darkroom: Darkroom, name: str, value: str
) -> None:
    prompts(darkroom.folder / "one.csv", "a lake")

    ended = darkroom.having(**{name: value}).run("run", "one.csv")

    assert ended.code == 2
    assert len(ended.complaints) == 1, ended
    assert "does not answer" in ended.err


def test_doctor_fails_when_the_database_is_away(darkroom: Darkroom) -> None:
    ended = darkroom.having(DATABASE_URL=UNREACHABLE["DATABASE_URL"]).run("doctor")

    assert ended.code == 1
    failed = [line for line in ended.out.splitlines() if line.startswith("FAIL")]
    assert len(failed) == 1, ended
    assert "database" in failed[0]


def test_a_dry_run_sends_nothing(darkroom: Darkroom, api: Caller) -> None:
    manifest = prompts(darkroom.folder / "two.csv", "a lake", "a mill")

    ended = darkroom.asking(api).run("run", manifest, "--dry-run", "--json")

    assert ended.code == 0, ended
    assert ended.json["rows"] == 2
    assert ended.json["credits"] == 6
    assert accounts(api) == []
    assert_nothing_began(darkroom)


def test_without_yes_nothing_is_spent_unseen(darkroom: Darkroom, api: Caller) -> None:
    manifest = prompts(darkroom.folder / "one.csv", "a lake")

    ended = darkroom.asking(api).run("run", manifest)

    assert ended.code == 2
    assert "--yes" in ended.err
    assert accounts(api) == []


def assert_nothing_began(darkroom: Darkroom) -> None:
    """No service was started, and no row written."""
    assert not (darkroom.home / "log").exists()
    assert not (darkroom.home / "darkroom.db").exists()
    assert not Path(darkroom.folder / "out").exists()
