"""No secret in any log line, and a thing is said once."""

import json
from collections.abc import Iterator

import pytest
import structlog

from jobs import telemetry
from jobs.telemetry import Changes, configure_logs, redact

SECRETS = [
    "authorization: Bearer sk-abcdefghijkl",
    "sk-abcdefghijklmnop",
    "dk_abcdefghijklmnop",
    "postgresql://user:password@host/name",
    "redis://:password@host/0",
    "https://bucket/key?X-Amz-Signature=abcdef0123&x=1",
    "https://bucket/key?X-Amz-Credential=AKIA%2F2026&x=1",
]
WORDS = ("abcdefghijkl", "password", "abcdef0123", "AKIA")


@pytest.mark.parametrize("text", SECRETS)
def test_a_secret_is_blotted_out(text: str) -> None:
    assert not any(word in redact(text) for word in WORDS)


@pytest.mark.parametrize("text", ["a task", "https://host/path", "key-0123456789ab", "desk-lamp"])
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


@pytest.fixture
def fresh_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A log that no other test has written to, and that forgets this one's stream."""
    monkeypatch.setattr(telemetry, "log", structlog.get_logger("darkroom"))
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def raise_with_a_secret() -> None:
    raise ValueError("redis://user:password@host is away")


@pytest.mark.usefixtures("fresh_log")
def test_no_field_of_a_line_tells_a_secret(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(process="worker")
    try:
        raise_with_a_secret()
    except ValueError:
        telemetry.log.exception(
            "step_failed",
            url="postgresql://user:password@host/name",
            headers={"authorization": "Bearer abcdefghijkl"},
            keys=["sk-abcdefghijkl"],
        )

    line = capsys.readouterr().err
    assert json.loads(line)["event"] == "step_failed"
    assert not any(word in line for word in WORDS)


@pytest.mark.usefixtures("fresh_log")
def test_a_change_is_said_once_and_so_is_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs()
    changes = Changes()

    for state in ("ok", "away", "away", "ok", "ok", "away"):
        changes.say("bucket", state)

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["part"], line["state"]) for line in lines] == [
        ("bucket", "away"),
        ("bucket", "ok"),
        ("bucket", "away"),
    ]
