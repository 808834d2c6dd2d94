"""A home or a `.env` that cannot be used: one line that says what, where and how to mend it."""

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from jobs.cli import main
from jobs.clock import boot_id
from tests.functional.darkroom import Ended

Darkroom = Callable[..., Ended]


@pytest.fixture
def darkroom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Darkroom]:
    """Runs a command in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["darkroom", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        with pytest.raises(SystemExit) as ended:
            main()
        return Ended(int(ended.value.code or 0), *capsys.readouterr())

    yield run
    # The log would go on writing where this test's went.
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.mark.parametrize("home", ["/proc/x", "manifest.csv", "manifest.csv/home"])
@pytest.mark.parametrize("command", [("jobs",), ("run", "manifest.csv"), ("migrate",)])
def test_a_home_that_cannot_be_made_is_named(
    darkroom: Darkroom, monkeypatch: pytest.MonkeyPatch, home: str, command: tuple[str, ...]
) -> None:
    Path("manifest.csv").write_text("operation,prompt\ngenerate/core,a\n")
    monkeypatch.setenv("DARKROOM_HOME", home)

    ended = darkroom(*command)

    (line,) = ended.complaints
    assert ended.code == 2
    assert line.startswith(f"darkroom: DARKROOM_HOME: the folder {Path(home).absolute()} cannot")


def test_a_database_that_is_none_is_named(
    darkroom: Darkroom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKROOM_HOME", str(tmp_path))
    (tmp_path / "darkroom.db").write_bytes(b"rubbish\n" * 1000)

    ended = darkroom("jobs")

    (line,) = ended.complaints
    assert ended.code == 2
    assert line.startswith(f"darkroom: {tmp_path / 'darkroom.db'}: file is not a database; move")


def test_what_the_disk_refuses_is_one_line(
    darkroom: Darkroom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a home in which a folder lies where a file has to be,
    monkeypatch.setenv("DARKROOM_HOME", str(tmp_path))
    taken = tmp_path / f"darkroom.db-boot-{boot_id()[:8]}"
    taken.mkdir()

    # when a command needs that file,
    ended = darkroom("jobs")

    # then it says which, and shows no traceback.
    (line,) = ended.complaints
    assert ended.code == 2
    assert line == f"darkroom: {taken}: Is a directory"


@pytest.mark.parametrize("command", ["jobs", "doctor"])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"A=1\nB=\xff\n", "line 2: is not UTF-8"),
        (b"\n\n# a remark\nSTABILITY_API_KEY sk-secret\n", "line 4: is not NAME=VALUE"),
        (b"A=1\nSTABILITY_API_KEY='sk-secret\n", "line 2: is not NAME=VALUE"),
        (b"\xef\xbb\xbfA=1\n", "line 1: has a byte order mark"),
    ],
    ids=["bytes", "no equals sign", "an open quote", "byte order mark"],
)
def test_a_file_of_settings_that_cannot_be_understood_stops_everything(
    darkroom: Darkroom, command: str, text: bytes, words: str
) -> None:
    Path(".env").write_bytes(text)

    ended = darkroom(command)

    (line,) = ended.complaints
    assert (ended.code, ended.out) == (2, "")
    assert line.startswith(f"darkroom: .env, {words}")
    assert "sk-secret" not in line


def test_a_file_of_settings_that_cannot_be_read_stops_everything(darkroom: Darkroom) -> None:
    # The kernel refuses to read this one even to root.
    Path(".env").symlink_to("/proc/self/mem")

    ended = darkroom("doctor")

    assert ended.code == 2
    assert ended.complaints == ["darkroom: .env: cannot be read: Input/output error"]


@pytest.mark.parametrize("command", ["doctor", "api", "worker", "beat"])
def test_a_secret_that_seals_nothing_is_refused_at_the_start(
    darkroom: Darkroom, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("DARKROOM_SECRET_KEY", "abc")

    ended = darkroom(command)

    (line,) = ended.complaints
    assert ended.code == 2
    assert "DARKROOM_SECRET_KEY: must be a Fernet key" in line
    # What the line advises works with the wrong secret.
    assert darkroom("credentials", "secret").code == 0


def test_a_name_that_is_no_setting_is_told_beside_the_output(
    darkroom: Darkroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKROOM_RATTE", "3")
    monkeypatch.setenv("DARKROOM_KEY", "is the Python client's")
    Path(".env").write_text("DARKROOM_LOGS=info\n")

    ended = darkroom("jobs", "--json")

    assert (ended.code, ended.json) == (0, [])
    assert ended.complaints == [
        "darkroom: DARKROOM_LOGS is no setting and is passed over; did you mean DARKROOM_LOG?",
        "darkroom: DARKROOM_RATTE is no setting and is passed over; did you mean DARKROOM_RATE?",
    ]
