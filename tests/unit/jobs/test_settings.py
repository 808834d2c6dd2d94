"""Settings: what is read, what is refused, and in which words."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import SettingsError
from jobs.settings import Rate, Settings, read_settings

KEY = "sk-a-key-that-is-not-one"


def read(**settings: Any) -> Settings:
    return read_settings(_env_file=None, **settings)


def test_nothing_set_means_embedded() -> None:
    settings = read()

    assert settings.api_keys == ()
    assert settings.database_address == f"sqlite:///{settings.home / 'darkroom.db'}"
    assert (settings.redis_url, settings.s3_bucket) == (None, None)
    assert settings.api_host == "https://api.stability.ai"
    assert str(settings.darkroom_rate) == "150/10s"


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STABILITY_API_KEY", f"{KEY}, other,,{KEY}\n")
    monkeypatch.setenv("DARKROOM_HOME", str(tmp_path))
    monkeypatch.setenv("DARKROOM_RATE", " 20 / 0.5s ")
    monkeypatch.setenv("DARKROOM_FREEZE_SECONDS", "1.5")
    monkeypatch.setenv("DARKROOM_LEASE_SECONDS", "")

    settings = read()

    assert settings.api_keys == (KEY, "other")
    assert settings.home == tmp_path
    assert settings.darkroom_rate == Rate(requests=20, window=timedelta(seconds=0.5))
    assert settings.darkroom_rate.per_second == 40
    assert settings.freeze == timedelta(seconds=1.5)
    assert settings.lease == timedelta(seconds=60)


def test_a_file_is_read_and_the_environment_wins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("DARKROOM_POLL_SECONDS=20\nDARKROOM_FREEZE_SECONDS=5\n")
    monkeypatch.setenv("DARKROOM_FREEZE_SECONDS", "7")

    settings = read_settings(_env_file=tmp_path / ".env")

    assert (settings.poll_gap, settings.freeze) == (timedelta(seconds=20), timedelta(seconds=7))


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_name_of_postgres_leads_to_the_same_driver(scheme: str) -> None:
    address = read(database_url=f"{scheme}://me@host/name").database_address

    assert address == "postgresql+psycopg://me@host/name"


def test_a_slash_at_the_end_of_the_host_does_no_harm() -> None:
    assert read(stability_api_host="http://localhost:1/").api_host == "http://localhost:1"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("darkroom_rate", "150", "150/10s"),
        ("darkroom_rate", "150/0s", "150/10s"),
        ("darkroom_rate", "0/10s", "DARKROOM_RATE"),
        ("darkroom_rate", "-1/10s", "150/10s"),
        ("darkroom_rate", "1/99999999999999999999s", "a day at the most"),
        ("darkroom_rate", "1/0.0000001s", "150/10s"),
        ("darkroom_freeze_seconds", "0", "DARKROOM_FREEZE_SECONDS"),
        ("darkroom_poll_seconds", "-1", "DARKROOM_POLL_SECONDS"),
        ("darkroom_lease_seconds", "soon", "DARKROOM_LEASE_SECONDS"),
        ("darkroom_lease_seconds", "nan", "DARKROOM_LEASE_SECONDS"),
        ("darkroom_lease_seconds", "1e9", "DARKROOM_LEASE_SECONDS"),
        ("darkroom_max_in_flight", "0", "DARKROOM_MAX_IN_FLIGHT"),
        ("darkroom_worker_threads", "many", "DARKROOM_WORKER_THREADS"),
        ("darkroom_on_uncertain", "maybe", "DARKROOM_ON_UNCERTAIN"),
        ("database_url", "name.db", "DATABASE_URL"),
        ("redis_url", "localhost:6379", "REDIS_URL"),
        ("redis_url", " redis://localhost", "blanks"),
        ("stability_api_host", "api.stability.ai", "STABILITY_API_HOST"),
        ("stability_api_host", "https://api\r\nX: y", "line breaks"),
        ("stability_api_key", " , ", "STABILITY_API_KEY"),
        ("stability_api_key", "sk-right,sk-abc\N{RIGHT DOUBLE QUOTATION MARK}", "curly quote"),
        ("stability_api_key", "sk-abc sk-def", "STABILITY_API_KEY"),
        ("stability_api_key", "sk-abc\nsk-def", "STABILITY_API_KEY"),
        ("s3_endpoint_url", "http://localhost", "S3_BUCKET"),
        ("s3_prefix", "x", "S3_BUCKET"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_in_one_line(
    name: str, value: str, words: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        read(**{name: value})

    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_refusal_does_not_tell_the_key() -> None:
    with pytest.raises(SettingsError) as caught:
        read(stability_api_key=KEY, database_url="x", redis_url="redis-with-a-password")

    assert KEY not in str(caught.value)
    assert "password" not in str(caught.value)


def test_the_settings_do_not_show_the_key() -> None:
    assert KEY not in repr(read(stability_api_key=KEY))


@given(text=st.text(max_size=12))
def test_any_text_is_a_rate_or_a_refusal(text: str) -> None:
    try:
        rate = read(darkroom_rate=text).darkroom_rate
    except SettingsError:
        return
    assert rate.requests >= 1
    assert rate.window > timedelta(0)


@given(requests=st.integers(1, 10_000), tenths=st.integers(1, 10_000))
def test_a_rate_is_read_as_it_is_written(requests: int, tenths: int) -> None:
    rate = Rate(requests=requests, window=timedelta(seconds=tenths / 10))

    assert read(darkroom_rate=str(rate)).darkroom_rate == rate
