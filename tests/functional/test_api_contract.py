"""The interface keeps the contract that it publishes: nothing that fits the documents is answered
with a form that they do not show, nothing that does not fit breaks it, and no key but the right one
opens it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from api.app import create_app
from api.stability.ids import generation_id
from api.stability.shape import PREFIX
from jobs import keys
from jobs.catalog.loader import addressed
from jobs.credentials import Keyring, record_balance
from jobs.db import Database
from jobs.keys import Scope
from jobs.settings import read_settings
from tests.integration.api.serving import Client, served
from tests.servers import wait_until

DOCUMENT = create_app(read_settings(_env_file=None)).openapi()
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
#: The same, of which only calls are made that fit.
FITTING = schemathesis.openapi.from_dict(DOCUMENT)
FITTING.config.generation.update(modes=[GenerationMode.POSITIVE])
FITTING.config.phases.coverage.enabled = False

FEW = settings(
    max_examples=3,
    deadline=timedelta(seconds=30),
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
FEWEST = settings(FEW, max_examples=1)

#: Of their bodies no schema tells all: which parameters go together in an operation, what makes a
#: picture of bytes, which hosts are public, how fine a budget is, which days a database can keep.
BEYOND_SCHEMAS = {
    *("POST /v1/jobs", "POST /v1/batches", "POST /v1/flows", "POST /v1/estimate"),
    *("POST /v1/schedules", "PATCH /v1/schedules/{schedule_id}", "POST /v1/webhooks"),
    *("POST /v1/assets", "PUT /v1/assets/{asset_id}/content"),
    *("PATCH /v1/batches/{batch_id}", "POST /v1/webhooks/{webhook_id}/replay"),
    *(f"POST {PREFIX}{operation.path}" for operation in addressed().values()),
}


@schemathesis.serializer("application/x-ndjson")
def serialize_lines(_context: Any, value: Any) -> bytes:
    """Whatever the generator makes of a stream of lines."""
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


def unfit(case: schemathesis.Case) -> list[Any]:
    """The checks that make no sense for a call; all others are made."""
    return [positive_data_acceptance] if case.operation.label in BEYOND_SCHEMAS else []


@dataclass(frozen=True)
class Interface:
    """The application, two who may do everything in their projects, and what one of them has."""

    address: str
    owner: str
    neighbour: str
    owned: Mapping[str, str]

    def check(self, case: schemathesis.Case, key: str | None) -> schemathesis.Response:
        """Make a call with a key, and hold its answer against the documents."""
        # What was made up in advance has a key of its own.
        case.headers.pop("Authorization", None)
        told = {} if key is None else {"Authorization": f"Bearer {key}"}
        case.headers.update(told)
        return case.call_and_validate(
            base_url=self.address,
            headers=told,
            excluded_checks=unfit(case),
            timeout=30,
        )


@pytest.fixture(scope="module")
def interface(
    sqlite_template: Path, redis_address: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Interface]:
    """The application, which makes nobody wait: its streams end as soon as they begin."""
    folder = tmp_path_factory.mktemp("contract")
    address = f"sqlite:///{folder / 'darkroom.db'}"
    (folder / "darkroom.db").write_bytes(sqlite_template.read_bytes())
    told = read_settings(
        _env_file=None,
        database_url=address,
        redis_url=redis_address,
        darkroom_home=folder,
        stability_api_key="sk-test",
        # Nobody listens there.
        stability_api_host="http://127.0.0.1:1",
    )
    database = Database(address)
    now = database.now()
    with database.transaction() as db:
        owner, _ = keys.create_key(db, "acme", [Scope.ADMIN], now)
        neighbour, _ = keys.create_key(db, "other", [Scope.ADMIN], now)
    keyring = Keyring(database, told.api_keys)
    keyring.register()
    (credential_id,) = keyring.awake()
    with database.transaction() as db:
        record_balance(db, credential_id, 1000, now)
    database.close()
    with served(told) as client:
        bulletin = client.app.state.parts.bulletin
        wait_until(lambda: bulletin.cursor is not None, "the feed is followed")
        bulletin.loop.call_soon_threadsafe(bulletin.close)
        owned = things_of(client.with_key(owner))
        yield Interface(client.address, owner, neighbour, owned)


def things_of(owner: Client) -> dict[str, str]:
    """One of each thing that has an id, by the name that it has in addresses."""
    job = {"operation": "generate/core", "params": {"prompt": "x"}}
    file = {"filename": "a.png", "bytes": 99, "sha256": "0" * 64}
    schedule = {"cron": "0 3 * * *", "timezone": "UTC", "template": job}
    made = {
        "job_id": owner.post("/v1/jobs", json=job),
        "batch_id": owner.post("/v1/batches", json={"name": "rows"}),
        "flow_id": owner.post("/v1/flows", json={"steps": {"first": job}}),
        "schedule_id": owner.post("/v1/schedules", json=schedule),
        "webhook_id": owner.post("/v1/webhooks", json={"url": "https://example.com/"}),
        "asset_id": owner.post("/v1/assets", json=file),
    }
    ids = {name: answer.json()["id"] for name, answer in made.items()}
    told = owner.post(f"/v1/webhooks/{ids['webhook_id']}/test")
    return ids | {"delivery_id": told.json()["id"], "id": generation_id(ids["job_id"])}


@SCHEMA.parametrize()
@FEW
def test_calls_answer_as_the_documents_say(case: schemathesis.Case, interface: Interface) -> None:
    interface.check(case, interface.owner)


def test_what_calls_make_is_there_for_the_next_ones(interface: Interface) -> None:
    told = {"Authorization": f"Bearer {interface.owner}"}

    class Chain(SCHEMA.as_state_machine()):  # type: ignore[misc]
        """Calls with what came of those before them."""

        def get_call_kwargs(self, _case: schemathesis.Case) -> dict[str, Any]:
            return {"base_url": interface.address, "headers": told, "timeout": 30}

        def validate_response(
            self, response: schemathesis.Response, case: schemathesis.Case, **_options: Any
        ) -> None:
            case.validate_response(
                response,
                headers=told,
                excluded_checks=unfit(case),
                transport_kwargs=self.get_call_kwargs(case),
            )

    run_state_machine_as_test(Chain, settings=settings(FEW, stateful_step_count=10))


@FITTING.include(path_regex=r"_?id}").parametrize()
@FEWEST
def test_what_is_anothers_is_not_there(case: schemathesis.Case, interface: Interface) -> None:
    wanted = case.path_parameters.keys() & interface.owned.keys()
    case.path_parameters.update({name: interface.owned[name] for name in wanted})

    answer = interface.check(case, interface.neighbour)

    # The body of such a call may have faults of its own, which are told first.
    assert not wanted or answer.status_code in {404, 405, 413, 422}


@FITTING.parametrize()
@FEWEST
def test_no_key_and_an_unknown_one_open_nothing(
    case: schemathesis.Case, interface: Interface
) -> None:
    answers = [interface.check(case, key) for key in (None, f"dk_{'0' * 12}_{'0' * 48}")]

    is_guarded = bool(case.operation.definition.raw.get("security"))
    assert not is_guarded or {answer.status_code for answer in answers} == {401}
