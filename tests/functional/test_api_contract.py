"""The interface keeps the contract that it publishes: nothing that fits the documents is answered
with a form that they do not show, nothing that does not fit breaks it, and no key but the right one
opens it."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    positive_data_acceptance,
    unsupported_method,
)

from api.app import create_app
from jobs import keys
from jobs.db import Database
from jobs.keys import Scope
from jobs.settings import read_settings
from tests.integration.api.serving import Client, served

SCHEMA = schemathesis.openapi.from_dict(create_app(read_settings(_env_file=None)).openapi())
#: A stream without an end is no answer to wait for.
BOUNDED = SCHEMA.exclude(path="/v1/events")
#: `secret` is no id, but other methods of an endpoint's address take it for one.
SHADOWED = {"/v1/webhooks/secret", "/v1/webhooks/secret/rotate"}

FEW = settings(
    max_examples=8,
    deadline=timedelta(seconds=30),
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)


@schemathesis.serializer("application/x-ndjson")
def serialize_lines(_context: Any, value: Any) -> bytes:
    """Whatever the generator makes of a stream of lines."""
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


def unfit(case: schemathesis.Case) -> list[Any]:
    """The checks that make no sense for a call; all others are made."""
    # Schemas do not say what the catalog asks of parameters: more is refused than they tell.
    checks = [positive_data_acceptance]
    if case.path in SHADOWED:
        checks += [unsupported_method, allow_header_conformance]
    return checks


class Pocket:
    """The key of whoever calls, where the checks find it that call without one."""

    key = ""


@SCHEMA.auth()
class Bearer:
    """Puts the key where the documents say."""

    def get(self, _case: schemathesis.Case, _context: schemathesis.AuthContext) -> str:
        return Pocket.key

    def set(self, case: schemathesis.Case, key: str, _context: schemathesis.AuthContext) -> None:
        case.headers["Authorization"] = f"Bearer {key}"


@pytest.fixture(scope="module")
def interface(
    sqlite_template: Path, redis_address: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    """The application, called by an admin of an empty project."""
    folder = tmp_path_factory.mktemp("contract")
    address = f"sqlite:///{folder / 'darkroom.db'}"
    (folder / "darkroom.db").write_bytes(sqlite_template.read_bytes())
    told = read_settings(
        _env_file=None,
        database_url=address,
        redis_url=redis_address,
        darkroom_home=folder,
        stability_api_key="sk-test",
    )
    database = Database(address)
    now = database.now()
    with database.transaction() as db:
        key, _ = keys.create_key(db, "acme", [Scope.ADMIN], now)
    database.close()
    with served(told) as client:
        yield client.with_key(key)


@BOUNDED.parametrize()
@FEW
def test_calls_answer_as_the_documents_say(case: schemathesis.Case, interface: Client) -> None:
    Pocket.key = interface.headers["authorization"].removeprefix("Bearer ")

    case.call_and_validate(base_url=interface.address, excluded_checks=unfit(case), timeout=30)


@BOUNDED.parametrize()
@settings(FEW, max_examples=2)
def test_an_unknown_key_opens_nothing(case: schemathesis.Case, interface: Client) -> None:
    Pocket.key = f"dk_{'0' * 12}_{'0' * 48}"

    answer = case.call_and_validate(
        base_url=interface.address, excluded_checks=unfit(case), timeout=30
    )

    is_guarded = bool(case.operation.definition.raw.get("security"))
    assert not is_guarded or answer.status_code in {401, 405}
