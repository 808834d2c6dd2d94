"""v1's addresses about the caller, and the two ways to send a key there."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from jobs.catalog.engines import ENGINES
from jobs.credentials import Keyring, add_credential, fingerprint, record_balance
from jobs.db import Database
from jobs.settings import Settings
from jobs.vault import new_secret, open_vault
from tests.integration.api.serving import Client
from tests.integration.sandbox.caller import Caller, running

BALANCE = "/stability/v1/user/balance"
ACCOUNT = "/stability/v1/user/account"
LIST = "/stability/v1/engines/list"


@pytest.fixture
def api() -> Iterator[Caller]:
    """The API that tells balances."""
    with running("--credits", "12.5") as caller:
        yield caller


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """One is enough: what both must do alike is tested beneath."""
    return sqlite_url


@pytest.fixture
def settings(settings: Settings, api: Caller) -> Settings:
    """With an API that answers."""
    changes = {"stability_api_host": api.address, "darkroom_secret_key": SecretStr(new_secret())}
    return settings.model_copy(update=changes)


def begin(client: Client) -> Any:
    """Do what a worker does at its start; gives the parts of the application."""
    parts = client.app.state.parts
    parts.keyring.register()
    for credential_id in parts.keyring.ids:
        parts.limiter.open(credential_id, quiet=timedelta(hours=1))
    return parts


def test_the_balance_is_asked_for_and_then_known_for_a_while(client: Client, api: Caller) -> None:
    begin(client)
    told = [client.get(BALANCE).json() for _ in range(3)]

    assert told == [{"credits": 12.5}] * 3
    assert client.get("/v1/balance").json()["credits"] == 12.5
    (account,) = api.get("/_sandbox/ledger").json()["keys"]
    assert account["by_status"] == {"200": 1}


def test_a_key_that_is_replaced_counts_no_more_and_one_that_is_kept_sealed_does(
    client: Client, database: Database, settings: Settings
) -> None:
    # Given a key of the settings, one that stood there before it, and one in the database,
    begin(client)
    Keyring(database, ["sk-before"]).register()
    now = database.now()
    with database.transaction() as db:
        vault = open_vault(settings)
        assert vault is not None
        sealed = add_credential(db, vault, "sk-sealed", "sealed", now)
        record_balance(db, fingerprint("sk-before"), 100_000, now)
        record_balance(db, sealed, 20_000, now)

    # then the credits of those are told that can still be spent.
    assert client.get(BALANCE).json() == {"credits": 32.5}
    told = client.get("/v1/balance").json()
    assert told["credits"] == 32.5
    assert {one["name"]: one["credits"] for one in told["credentials"]} == {
        "setting 1": 12.5,
        "sealed": 20,
    }


def test_a_balance_that_nobody_has_told_is_no_zero(client: Client, api: Caller) -> None:
    api.process.terminate()
    api.process.wait()
    begin(client)

    answer = client.get(BALANCE)

    assert (answer.status_code, answer.json()["name"]) == (503, "service_unavailable")
    assert "retry-after" in answer.headers


def test_the_account_is_the_key_and_its_project(client: Client) -> None:
    account = client.get(ACCOUNT).json()

    assert account.keys() >= {"id", "email", "organizations"}
    (organization,) = account["organizations"]
    assert (organization["name"], organization["is_default"]) == ("acme", True)
    assert organization.keys() == {"id", "name", "role", "is_default"}


def test_the_engines_are_those_of_the_catalog(client: Client) -> None:
    engines = client.get(LIST).json()

    assert {engine["id"] for engine in engines} == set(ENGINES)
    assert all(engine.keys() == {"id", "name", "description", "type"} for engine in engines)


@pytest.mark.parametrize("path", [BALANCE, ACCOUNT, LIST])
def test_a_key_that_may_not_read_learns_nothing(stranger: Client, make_key: Any, path: str) -> None:
    submitter = stranger.with_key(make_key("acme", "submit"))

    unknown, forbidden = stranger.get(path), submitter.get(path)

    assert (unknown.status_code, unknown.json()["name"]) == (401, "unauthorized")
    assert (forbidden.status_code, forbidden.json()["name"]) == (403, "permission_denied")
    assert unknown.json().keys() == {"id", "name", "message"}


def test_v1_takes_the_key_with_and_without_bearer_and_nobody_else_does(
    stranger: Client, make_key: Any
) -> None:
    key = make_key()
    bare = {"authorization": key}

    assert stranger.get(ACCOUNT, headers=bare).status_code == 200
    assert stranger.with_key(key).get(ACCOUNT).status_code == 200
    assert stranger.get(ACCOUNT, headers={"authorization": f"Basic {key}"}).status_code == 401
    assert stranger.get("/stability/v2beta/results/x", headers=bare).status_code == 401
    assert stranger.get("/v1/jobs", headers=bare).status_code == 401
