"""What the commands print: one JSON document for programs, and complaints where there is none."""

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from PIL import Image

from jobs.cli import main
from jobs.credentials import Keyring, fingerprint
from jobs.db import Database
from jobs.embedded.lock import Lock
from jobs.models import new_id
from jobs.states import JobState
from jobs.vault import new_secret
from tests.factories import make_batch, make_job
from tests.functional.darkroom import Ended

Darkroom = Callable[..., Ended]
S = JobState

CHECKS = ["settings", "database", "broker", "bucket", "key", "worker", "brakes"]
#: Moves on with the clock.
FORECAST = {"eta", "eta_seconds"}


@pytest.fixture
def darkroom(
    sqlite_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Darkroom]:
    """Runs a command in a home of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DARKROOM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DATABASE_URL", sqlite_url)

    def run(*arguments: object, stdin: str = "") -> Ended:
        monkeypatch.setattr(sys, "argv", ["darkroom", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return Ended(int(ended.value.code or 0), out, err)

    yield run
    # The log would go on writing where this test's went.
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def database(sqlite_url: str) -> Iterator[Database]:
    """The database of the home."""
    opened = Database(sqlite_url)
    yield opened
    opened.close()


@pytest.fixture
def batch(database: Database) -> str:
    """A batch of three jobs, one of which failed."""
    with database.transaction() as db:
        batch_id = make_batch(db, size=3)
        for row, state in enumerate((S.QUEUED, S.QUEUED, S.FAILED)):
            make_job(db, state, batch_id=batch_id, row=row)
    return batch_id


def steady(shown: dict[str, Any]) -> dict[str, Any]:
    """What is the same a moment later."""
    return {name: value for name, value in shown.items() if name not in FORECAST}


def picture(path: Path, shade: str = "teal") -> Path:
    Image.new("RGB", (80, 64), shade).save(path)
    return path


@pytest.mark.parametrize(
    ("state", "command", "after"),
    [
        (S.QUEUED, ("jobs", "cancel"), S.CANCELED),
        (S.FAILED, ("jobs", "retry"), S.QUEUED),
        (S.QUEUED, ("jobs", "front"), S.QUEUED),
        (S.HELD, ("resolve", "--resubmit"), S.QUEUED),
        (S.HELD, ("resolve", "--give-up"), S.FAILED),
    ],
    ids=["cancel", "retry", "front", "resubmit", "give up"],
)
def test_a_job_is_told_as_it_is_after_the_change(
    darkroom: Darkroom,
    database: Database,
    state: JobState,
    command: tuple[str, ...],
    after: JobState,
) -> None:
    with database.transaction() as db:
        job_id = make_job(db, state)

    told = darkroom(*command, job_id, "--json").json

    assert told["state"] == after
    assert steady(told) == steady(darkroom("jobs", "show", job_id, "--json").json)


def test_a_story_is_told_as_over_http(darkroom: Darkroom, database: Database) -> None:
    with database.transaction() as db:
        job_id = make_job(db, S.SUCCEEDED)

    told = darkroom("explain", job_id, "--json").json

    assert [event["state"] for event in told["events"]] == [
        *("queued", "submitting", "storing", "succeeded")
    ]
    assert [(attempt["number"], attempt["fate"]) for attempt in told["attempts"]] == [
        (1, "answered")
    ]


@pytest.mark.parametrize(
    ("verb", "changed"),
    [
        (("front",), "fronted_at"),
        (("pause",), "paused_at"),
        (("set", "--weight", 3), "weight"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_a_batch_is_told_as_it_is_after_the_change(
    darkroom: Darkroom, batch: str, verb: tuple[object, ...], changed: str
) -> None:
    before = darkroom("batches", "show", batch, "--json").json

    told = darkroom("batches", *verb, batch, "--json").json

    assert told[changed] != before[changed]
    assert steady(told) == steady(darkroom("batches", "show", batch, "--json").json)


def test_a_batch_is_resumed_with_its_public_form(darkroom: Darkroom, batch: str) -> None:
    assert darkroom("batches", "pause", batch, "--json").json["paused_at"] is not None

    assert darkroom("batches", "resume", batch, "--json").json["paused_at"] is None


def test_verbs_for_a_whole_batch_tell_how_many_jobs_they_changed(
    darkroom: Darkroom, batch: str
) -> None:
    assert darkroom("batches", "retry", batch, "--json").json == {"changed": 1}
    assert darkroom("batches", "cancel", batch, "--json").json == {"changed": 3}


def test_a_batch_tells_how_many_jobs_failed_and_how_many_were_canceled(
    darkroom: Darkroom, batch: str
) -> None:
    darkroom("batches", "cancel", batch)

    told = darkroom("batches", "show", batch).out

    assert "1 failed · 2 canceled" in told


def test_what_nobody_works_on_is_promised_no_end(
    darkroom: Darkroom, batch: str, tmp_path: Path
) -> None:
    asked = ("submit", "generate/core", "prompt=a fox")

    assert "no worker runs: `darkroom up` starts one" in darkroom(*asked).out
    assert "no worker runs (`darkroom up`)" in darkroom("batches").out

    # As it is once one is there.
    worker = Lock(tmp_path / "home", "worker")
    assert worker.acquire()
    assert "ends about" in darkroom(*asked).out
    assert "no worker" not in darkroom("batches").out


def test_everything_is_paused_and_resumed(darkroom: Darkroom) -> None:
    paused = darkroom("pause", "--json").json
    again = darkroom("pause", "--json").json
    resumed = darkroom("resume", "--json").json

    assert paused["paused_at"] is not None
    assert again == paused
    assert resumed == {"id": "all", "paused_at": None}


@pytest.mark.parametrize("kind", ["project", "credential", "batch"])
def test_a_part_is_paused_and_resumed_with_the_public_form_of_its_list(
    darkroom: Darkroom, batch: str, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("STABILITY_API_KEY", "sk-abcdefgh")
    group = "batches" if kind == "batch" else f"{kind}s"
    (before,) = darkroom(group, "--json").json

    paused = darkroom("pause", f"--{kind}", before["id"], "--json").json
    (listed,) = darkroom(group, "--json").json
    resumed = darkroom("resume", f"--{kind}", before["id"], "--json").json

    assert paused["paused_at"] is not None
    assert steady(paused) == steady(listed)
    assert resumed["paused_at"] is None


def test_a_credential_is_added_stopped_and_started(
    darkroom: Darkroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "DARKROOM_SECRET_KEY", darkroom("credentials", "secret", "--json").json["secret"]
    )

    added = darkroom("credentials", "add", "--name", "second", "--json", stdin="sk-abcdefgh\n")
    stopped = darkroom("credentials", "stop", added.json["id"], "--json").json
    started = darkroom("credentials", "start", added.json["id"], "--json").json

    assert (added.json["name"], added.json["is_sealed"]) == ("second", True)
    assert "sk-abcdefgh" not in added.out
    assert stopped["stop_reason"] == "by hand"
    assert started == added.json
    assert darkroom("credentials", "--json").json == [started]


def test_the_terms_of_a_project_are_told(darkroom: Darkroom) -> None:
    told = darkroom("projects", "set", "shop", "--max-in-flight", 20, "--json").json

    assert (told["max_in_flight"], told["weight"]) == (20, 1)
    assert told in darkroom("projects", "--json").json


def test_a_revoked_key_is_told_as_it_is_listed(darkroom: Darkroom) -> None:
    made = darkroom("keys", "create", "--json").json

    told = darkroom("keys", "revoke", made["id"], "--json").json

    assert told["revoked_at"] is not None
    assert darkroom("keys", "--json").json == [told]


def test_what_is_deleted_is_told_by_its_id(darkroom: Darkroom, tmp_path: Path) -> None:
    template = tmp_path / "job.yaml"
    template.write_text("operation: generate/core\nparams: {prompt: a hare}\n")
    made = [
        ("schedules", darkroom("schedules", "create", template, "--cron", "0 7 * * *", "--json")),
        ("webhooks", darkroom("webhooks", "create", "https://example.com/told", "--json")),
    ]

    for group, ended in made:
        told = darkroom(group, "delete", ended.json["id"], "--json").json

        assert told == {"id": ended.json["id"], "deleted": True}
        assert darkroom(group, "--json").json == []


def test_the_doctor_tells_every_check(darkroom: Darkroom, monkeypatch: pytest.MonkeyPatch) -> None:
    well = darkroom("doctor", "--json")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    ill = darkroom("doctor", "--json")

    assert [check["name"] for check in well.json] == CHECKS
    assert (well.code, {check["ok"] for check in well.json}) == (0, {True})
    assert ill.code == 1
    assert "Redis" in next(check["text"] for check in ill.json if not check["ok"])
    assert darkroom("doctor").out.count("\n") == len(CHECKS)


def test_images_are_added_once_for_each_content_and_listed_newest_first(
    darkroom: Darkroom, tmp_path: Path
) -> None:
    fox, hare = picture(tmp_path / "fox.png"), picture(tmp_path / "a hare.jpg", "red")

    (first,) = darkroom("assets", "add", fox, "--json").json
    added = darkroom("assets", "add", hare, fox, hare, "--json").json

    second = added[0]
    assert added == [second, first, second]
    assert (first["content_type"], second["content_type"]) == ("image/png", "image/jpeg")
    assert darkroom("assets", "--json").json == [second, first]
    assert darkroom("assets", "--limit", 1, "--json").json == [second]
    for name in (first["id"], f"asset:{first['id']}"):
        assert darkroom("assets", "show", name, "--json").json == first


def test_an_added_image_is_an_input(darkroom: Darkroom, tmp_path: Path) -> None:
    name = darkroom("assets", "add", picture(tmp_path / "fox.png")).out.strip()

    job = darkroom("submit", "edit/remove-background", f"image={name}", "--json").json

    assert job["inputs"] == {"image": name}


@pytest.mark.usefixtures("s3")
def test_with_servers_an_added_image_is_an_input_too(
    darkroom: Darkroom,
    postgres_url: str,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", postgres_url)
    monkeypatch.setenv("REDIS_URL", redis_url)

    (added,) = darkroom("assets", "add", picture(tmp_path / "fox.png"), "--json").json
    name = f"asset:{added['id']}"
    job = darkroom("submit", "edit/remove-background", f"image={name}", "--json").json

    assert job["inputs"] == {"image": name}
    assert darkroom("assets", "--json").json == [added]


def test_of_files_with_faults_none_is_added(darkroom: Darkroom, tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "words.png").write_text("no picture")
    (tmp_path / "folder.png").mkdir()
    files = ("empty.png", "words.png", "folder.png", "gone.png")

    ended = darkroom("assets", "add", picture(tmp_path / "fox.png"), *files, "--json")

    assert (ended.code, ended.out) == (2, "")
    assert [line.split(": ")[1] for line in ended.complaints] == list(files)
    assert darkroom("assets", "--json").json == []


@pytest.mark.parametrize(
    "command",
    [
        *(("jobs", verb) for verb in ("show", "cancel", "retry", "front")),
        *(("batches", verb) for verb in ("show", "cancel", "retry", "front", "pause", "resume")),
        *(("credentials", verb) for verb in ("stop", "start")),
        *((group, "delete") for group in ("schedules", "webhooks")),
        ("batches", "set", "--weight", "2"),
        ("pause", "--credential"),
        ("resume", "--project"),
        ("resolve", "--give-up"),
        ("assets", "show"),
        ("keys", "revoke"),
        ("explain",),
    ],
    ids=" ".join,
)
def test_a_complaint_about_what_is_not_there_is_no_json(
    darkroom: Darkroom, command: tuple[str, ...]
) -> None:
    ended = darkroom(*command, new_id(), "--json")

    assert (ended.code, ended.out) == (2, "")
    assert len(ended.complaints) == 1
    assert ended.err.startswith("darkroom: there is no ")


def test_a_group_alone_lists_and_takes_no_command_behind_options(darkroom: Darkroom) -> None:
    assert darkroom("jobs", "--json").json == darkroom("jobs", "list", "--json").json == []

    misplaced = darkroom("jobs", "--json", "show", "a job")

    assert (misplaced.code, misplaced.out) == (2, "")
    assert "unexpected extra arguments (show a job)" in misplaced.err.replace("(s)", "s")


def test_a_key_that_cannot_be_sent_is_not_kept(
    darkroom: Darkroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKROOM_SECRET_KEY", new_secret())

    ended = darkroom(
        "credentials", "add", "--name", "main", stdin="sk-abc\N{RIGHT SINGLE QUOTATION MARK}\n"
    )

    assert (ended.code, len(ended.complaints)) == (2, 1)
    assert "curly quote" in ended.err
    assert darkroom("credentials", "--json").json == []


def test_a_credential_is_stopped_by_its_name_unless_two_have_it(
    darkroom: Darkroom, database: Database
) -> None:
    Keyring(database, ["sk-first", "sk-second"]).register()
    Keyring(database, ["sk-third"]).register()

    stopped = darkroom("credentials", "stop", "setting 2", "--json").json
    paused = darkroom("pause", "--credential", "setting 2", "--json").json
    unclear = darkroom("credentials", "stop", "setting 1")

    assert (stopped["id"], stopped["stop_reason"]) == (fingerprint("sk-second"), "by hand")
    assert (paused["id"], paused["paused_at"] is None) == (stopped["id"], False)
    assert unclear.code == 2
    assert "2 credentials are called 'setting 1'" in unclear.err
    assert darkroom("credentials", "start", stopped["id"], "--json").json["stop_reason"] is None


SUBMIT = ("submit", "generate/core", "prompt=a fox")


@pytest.mark.parametrize(
    "command",
    [
        (*SUBMIT, "--priority", 10**20),
        (*SUBMIT, "--out", "."),
        (*SUBMIT, "--out", "a file/fox.png"),
        *(("batches", "set", "any", "--budget", budget) for budget in ("inf", "nan", "-1")),
        ("batches", "set", "any", "--priority", -(10**20)),
    ],
    ids=lambda command: " ".join(map(str, command)),
)
def test_what_cannot_be_done_is_refused_before_anything_is(
    darkroom: Darkroom, tmp_path: Path, command: tuple[object, ...]
) -> None:
    (tmp_path / "a file").touch()

    ended = darkroom(*command)

    assert ended.code == 2
    assert str(command[-2]) in ended.err
    assert darkroom("jobs", "--json").json == []


@pytest.mark.parametrize(
    "group",
    ["assets", "batches", "credentials", "flows", "jobs", "keys", "schedules", "webhooks"],
)
def test_an_empty_list_says_so_beside_the_output(darkroom: Darkroom, group: str) -> None:
    assert darkroom(group) == Ended(0, "", "none yet\n")
    assert darkroom(group, "--json") == Ended(0, "[]\n", "")


def test_jobs_of_an_operation_that_does_not_exist_are_not_looked_for(darkroom: Darkroom) -> None:
    ended = darkroom("jobs", "--operation", "generate/cor")

    assert ended.code == 2
    assert "'generate/cor' is not a known operation; did you mean generate/core" in ended.err


def test_the_version_is_told(darkroom: Darkroom) -> None:
    ended = darkroom("--version")

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("darkroom")
