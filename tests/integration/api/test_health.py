"""Whether it lives, whether it can work, and its figures."""

import socket
from pathlib import Path

import pytest

from jobs.settings import read_settings
from tests.integration.api.serving import Client, served


def test_a_process_that_lives_says_so(stranger: Client) -> None:
    answer = stranger.get("/healthz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_it_is_ready_when_all_parts_answer(stranger: Client) -> None:
    answer = stranger.get("/readyz")

    assert answer.status_code == 200
    assert answer.json()["parts"] == dict.fromkeys(
        ("database", "migrations", "broker", "bucket"), "ok"
    )


def test_it_is_not_ready_before_the_database_was_migrated(redis_url: str, tmp_path: Path) -> None:
    settings = read_settings(
        _env_file=None, database_url=f"sqlite:///{tmp_path / 'new.db'}", redis_url=redis_url
    )

    with served(settings) as client:
        answer = client.get("/readyz")

    assert answer.status_code == 503
    assert "darkroom migrate" in answer.json()["parts"]["migrations"]
    assert answer.json()["parts"]["database"] == "ok"


def test_a_broker_that_is_away_has_its_reason(sqlite_url: str, tmp_path: Path) -> None:
    settings = read_settings(
        _env_file=None, database_url=sqlite_url, redis_url=f"unix://{tmp_path / 'none.sock'}"
    )

    with served(settings) as client:
        answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["parts"]["broker"] == "ConnectionError"


def test_a_part_that_hangs_is_not_waited_for(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.readiness.CHECK_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        settings = read_settings(
            _env_file=None, database_url=sqlite_url, redis_url=f"redis://127.0.0.1:{port}"
        )
        with served(settings) as client:
            answer = client.get("/readyz")

    assert answer.json()["parts"]["broker"] == "no answer within 0.2 s"


def test_the_metrics_count_jobs_and_show_every_state(stranger: Client) -> None:
    text = stranger.get("/metrics").text

    assert 'darkroom_jobs{state="queued"} 0.0' in text
    assert "darkroom_workers 0.0" in text
    assert "darkroom_limiter_slots 150.0" in text
    assert 'darkroom_part_up{part="redis"} 1.0' in text
    assert "sk-test" not in text


def test_the_metrics_of_the_database_survive_the_loss_of_redis(
    sqlite_url: str, tmp_path: Path
) -> None:
    settings = read_settings(
        _env_file=None, database_url=sqlite_url, redis_url=f"unix://{tmp_path / 'none.sock'}"
    )

    with served(settings) as client:
        text = client.get("/metrics").text

    assert 'darkroom_part_up{part="redis"} 0.0' in text
    assert 'darkroom_jobs{state="held"} 0.0' in text
