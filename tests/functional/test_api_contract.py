"""The interface keeps the contract that it publishes: nothing that fits the documents is answered
with a form that they do not show, and nothing that does not fit breaks it."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.app import create_app
from jobs import keys
from jobs.db import Database
from jobs.keys import Scope
from jobs.settings import read_settings
from tests.integration.api.serving import Client, served

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
#: A stream without an end is no answer to wait for.
SCHEMA = schemathesis.openapi.from_dict(create_app(read_settings(_env_file=None)).openapi())
BOUNDED = SCHEMA.exclude(path="/v1/events")


@schemathesis.serializer("application/x-ndjson")
def serialize_lines(_context: Any, value: Any) -> bytes:
    """Whatever the generator makes of a stream of lines."""
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


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
@settings(
    max_examples=8,
    deadline=timedelta(seconds=30),
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
def test_calls_answer_as_the_documents_say(case: schemathesis.Case, interface: Client) -> None:
    case.call_and_validate(
        base_url=interface.address, headers=interface.headers, checks=CHECKS, timeout=30
    )
