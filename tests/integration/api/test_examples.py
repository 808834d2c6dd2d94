"""Whatever the documents show as the body of a call works as it stands there."""

from collections.abc import Callable
from typing import Any

import pytest
import requests

from api.app import create_app
from jobs.db import Database
from jobs.settings import read_settings
from jobs.states import JobState
from tests.factories import make_job
from tests.integration.api.conftest import KeyMaker
from tests.integration.api.serving import Client

DOCUMENT: dict[str, Any] = create_app(read_settings(_env_file=None)).openapi()
CORE = {"operation": "generate/core", "params": {"prompt": "x"}}
SEND = {"application/json": "json", "application/x-ndjson": "data"}

Maker = Callable[[Client, Database], str]


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """One is enough: what is looked at are the forms."""
    return sqlite_url


def made(path: str, **body: Any) -> Maker:
    """Makes a thing by a call of its own."""

    def make(owner: Client, _database: Database) -> str:
        return str(owner.post(path, json=body).json()["id"])

    return make


def job_in(state: JobState, **columns: Any) -> Maker:
    """Makes a job that has come as far as this."""

    def make(_owner: Client, database: Database) -> str:
        with database.transaction() as db:
            return make_job(db, state, project_id="acme", operation="generate/core", **columns)

    return make


#: The thing that an address with an id in it needs.
THINGS: dict[str, Maker] = {
    "/v1/jobs/{job_id}/retry": job_in(JobState.CANCELED),
    "/v1/jobs/{job_id}/resolve": job_in(JobState.HELD, held_for="uncertain"),
    "/v1/batches/{batch_id}": made("/v1/batches"),
    "/v1/schedules/{schedule_id}": made("/v1/schedules", cron="0 7 * * *", template=CORE),
    "/v1/webhooks/{webhook_id}": made("/v1/webhooks", url="https://shop.example/"),
}


def schema_of(content: dict[str, Any]) -> dict[str, Any]:
    """The schema itself, where the documents only name it."""
    schema: dict[str, Any] = content["schema"]
    for choice in (schema, *schema.get("anyOf", [])):
        if name := choice.get("$ref", "").rpartition("/")[2]:
            found: dict[str, Any] = DOCUMENT["components"]["schemas"][name]
            return found
    return schema


CALLS = [
    pytest.param(method, path, kind, schema_of(content), id=f"{method} {path}")
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
    for kind, content in operation.get("requestBody", {}).get("content", {}).items()
    # Files and forms have no text to show.
    if kind in SEND and not path.startswith("/stability/")
]


@pytest.mark.parametrize(("method", "path", "kind", "schema"), CALLS)
def test_the_examples_of_the_documents_work(
    method: str,
    path: str,
    kind: str,
    schema: dict[str, Any],
    stranger: Client,
    make_key: KeyMaker,
    database: Database,
) -> None:
    owner = stranger.with_key(make_key("acme", "admin"))
    success = next(s for s in DOCUMENT["paths"][path][method]["responses"] if s.startswith("2"))

    answers = [send(owner, database, method, path, kind, example) for example in schema["examples"]]

    assert {f"{answer.status_code}" for answer in answers} == {success}, answers[0].text


def send(
    owner: Client, database: Database, method: str, path: str, kind: str, example: Any
) -> requests.Response:
    """Make the call, with what its address needs."""
    for prefix, make in THINGS.items():
        if path.startswith(prefix):
            thing = make(owner, database)
            path = path.replace(prefix, prefix[: prefix.index("{")] + thing + tail_of(prefix))
    headers = {"content-type": kind}
    return owner.call(method.upper(), path, headers=headers, **{SEND[kind]: example})


def tail_of(prefix: str) -> str:
    """What stands behind the id."""
    return prefix.partition("}")[2]
