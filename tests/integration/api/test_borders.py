"""Nothing of one project is visible to another, by whatever route; and no route is open.

The walks take the routes from the application itself. A new route whose address has an id in it
needs a value of the first project in `Things.ids`, and a body in `BODIES` if it asks for one.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from sqlalchemy import insert

from api.app import create_app
from api.stability.ids import generation_id
from jobs.db import Database
from jobs.keys import Scope
from jobs.models import Output, table
from jobs.settings import Settings, read_settings
from jobs.states import JobState
from jobs.storage import open_storage
from tests.factories import make_job
from tests.integration.api.conftest import KeyMaker
from tests.integration.api.serving import Client

#: Is in everything that the first project has.
CANARY = "canary5e1f"
CORE = {"operation": "generate/core", "params": {"prompt": CANARY}, "metadata": {"of": CANARY}}

#: What parts of addresses lead to nobody's property.
PUBLIC = {"name", "engine_id"}
#: What a call of these has to send so that it reaches the thing itself.
BODIES: dict[str, dict[str, Any]] = {
    "PATCH /v1/batches/{batch_id}": {"json": {"weight": 2}},
    "POST /v1/jobs/{job_id}/resolve": {"json": {"decision": "resubmit"}},
    "PATCH /v1/schedules/{schedule_id}": {"json": {"enabled": False}},
    "PATCH /v1/webhooks/{webhook_id}": {"json": {"enabled": False}},
    "POST /v1/webhooks/{webhook_id}/replay": {"json": {"since": "2020-01-01T00:00:00Z"}},
    "POST /v1/batches/{batch_id}/jobs": {
        "data": b'{"operation": "generate/core", "params": {"prompt": "x"}}\n',
        "headers": {"content-type": "application/x-ndjson"},
    },
    "PUT /v1/assets/{asset_id}/content": {"params": {"ticket": "guessed"}, "data": b"x"},
}
#: An answer without an end; `test_events.py` has what it tells.
ENDLESS = {"/v1/events"}


@dataclass(frozen=True)
class Call:
    """A method of a route."""

    method: str
    path: str
    #: None for a route that asks for no key.
    scope: Scope | None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def parts(self) -> set[str]:
        """What the address leaves open."""
        return {piece[1:-1].partition(":")[0] for piece in self.path.split("/") if "{" in piece}

    def filled(self, ids: dict[str, str]) -> str:
        """The address of one thing."""
        path = self.path.replace(":path}", "}")
        for name in self.parts:
            path = path.replace(f"{{{name}}}", ids[name])
        return path


def calls() -> Iterator[Call]:
    """All of the application's."""
    app = create_app(read_settings(_env_file=None))
    for context in iter_route_contexts(app.routes):
        route: Any = context.original_route
        for method in sorted(route.methods - {"HEAD"}):
            yield Call(
                method, context.path.replace(":not_secret", ""), getattr(route, "scope", None)
            )


CALLS = list(calls())
TO_THINGS = [call for call in CALLS if call.parts - PUBLIC]


@dataclass(frozen=True)
class Things:
    """What the first project has: an id for each name in an address."""

    ids: dict[str, str]


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """One is enough: the border is in the conditions of each statement."""
    return sqlite_url


@pytest.fixture
def owner(stranger: Client, make_key: KeyMaker) -> Client:
    return stranger.with_key(make_key("acme", "admin"))


@pytest.fixture
def foreigner(stranger: Client, make_key: KeyMaker) -> Client:
    """May do everything, in another project."""
    return stranger.with_key(make_key("other", "admin"))


@pytest.fixture
def things(owner: Client, database: Database, settings: Settings) -> Things:
    def made(path: str, **options: Any) -> str:
        answer = owner.post(path, **options)
        assert answer.ok, answer.text
        return str(answer.json()["id"])

    webhook = made(
        "/v1/webhooks", json={"url": f"https://{CANARY}.example/", "description": CANARY}
    )
    schedule = {"name": CANARY, "cron": "0 7 * * *", "template": CORE}
    job_id = finished_job(database, settings, "upscale/creative")
    return Things(
        {
            "job_id": job_id,
            "number": "0",
            "id": generation_id(job_id),
            "asset_id": made("/v1/assets", files={"file": picture()}),
            "batch_id": made("/v1/batches", json={"name": CANARY, "jobs": [CORE]}),
            "flow_id": made("/v1/flows", json={"name": CANARY, "steps": {CANARY: CORE}}),
            "schedule_id": made("/v1/schedules", json=schedule),
            "webhook_id": webhook,
            "delivery_id": made(f"/v1/webhooks/{webhook}/test"),
        }
    )


def finished_job(database: Database, settings: Settings, operation: str) -> str:
    """A job of the first project with an output."""
    content = picture()
    key = f"acme/{CANARY}.png"
    digest = sha256(content).hexdigest()
    open_storage(settings).put(
        key,
        io.BytesIO(content),
        size=len(content),
        content_type="image/png",
        sha256=digest,
        metadata={},
    )
    with database.transaction() as db:
        job_id = make_job(
            db,
            JobState.SUCCEEDED,
            project_id="acme",
            operation=operation,
            params={"prompt": CANARY},
            labels={"of": CANARY},
        )
        row = {
            "job_id": job_id,
            "number": 0,
            "attempt_id": job_id,
            "key": key,
            "content_type": "image/png",
            "bytes": len(content),
            "sha256": digest,
        }
        db.execute(insert(table(Output)), row)
    return job_id


def picture() -> bytes:
    """A picture with the canary in it."""
    told, file = PngInfo(), io.BytesIO()
    told.add_text("of", CANARY)
    Image.new("RGB", (64, 64), "teal").save(file, "PNG", pnginfo=told)
    return file.getvalue()


def everything_of(client: Client) -> dict[str, Any]:
    """What the lists show."""
    lists = ("jobs", "batches", "flows", "schedules", "webhooks")
    return {name: client.get(f"/v1/{name}").json() for name in lists}


def test_the_walk_knows_an_example_for_each_route(things: Things) -> None:
    unknown = {str(call) for call in TO_THINGS if call.parts - PUBLIC - set(things.ids)}

    assert unknown == set()
    assert set(BODIES) <= {str(call) for call in CALLS}


def test_the_examples_are_there_for_their_owner(owner: Client, things: Things) -> None:
    # Each of Stability's addresses serves some operations only.
    looks = [call for call in TO_THINGS if call.method == "GET" and "/result/" not in call.path]

    answers = {str(call): owner.get(call.filled(things.ids)).status_code for call in looks}

    assert set(answers.values()) == {200}, answers


def test_another_projects_things_are_not_there(
    owner: Client, foreigner: Client, things: Things
) -> None:
    before = everything_of(owner)

    answers = {
        str(call): foreigner.call(call.method, call.filled(things.ids), **BODIES.get(str(call), {}))
        for call in TO_THINGS
    }

    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(
        answers, 404
    )
    for answer in answers.values():
        assert CANARY.encode() not in answer.content
        assert CANARY not in str(answer.headers)
    assert everything_of(owner) == before


def test_no_list_tells_of_another_project(foreigner: Client, things: Things) -> None:
    lists = [c.path for c in CALLS if c.method == "GET" and not c.parts and c.path not in ENDLESS]

    answers = {path: foreigner.get(path) for path in lists}

    told = {path for path, answer in answers.items() if CANARY.encode() in answer.content}
    assert told == set()
    assert {"/v1/jobs", "/v1/batches", "/v1/flows", "/metrics"} <= set(answers)


def test_another_projects_ids_are_of_no_use_in_questions(foreigner: Client, things: Things) -> None:
    for question in ({"batch": things.ids["batch_id"]}, {"cursor": "7" + "z" * 25}, {"q": CANARY}):
        answer = foreigner.get("/v1/jobs", params=question)

        assert (answer.status_code, answer.json()["items"]) == (200, [])


def test_another_projects_things_are_no_inputs(foreigner: Client, things: Things) -> None:
    asset, job = things.ids["asset_id"], things.ids["job_id"]
    cut = "edit/remove-background"
    using = [
        {"operation": cut, "inputs": {"image": asset}},
        {"operation": cut, "inputs": {"image": f"asset:{asset}"}},
        {"operation": cut, "inputs": {"image": f"job:{job}#0"}},
        {"operation": "generate/core", "params": {"prompt": "x"}, "depends_on": [job]},
    ]
    bodies = [
        *(("/v1/jobs", body) for body in using),
        *(("/v1/flows", {"steps": {"a": body}}) for body in using),
        *(("/v1/batches", {"jobs": [body]}) for body in using),
        *(("/v1/schedules", {"cron": "0 7 * * *", "template": body}) for body in using[:3]),
    ]

    answers = [(path, foreigner.post(path, json=body)) for path, body in bodies]

    for path, answer in answers:
        # A batch is made without the rows that have faults.
        refused = answer.status_code == 422 or answer.json().get("accepted") == 0
        assert refused, (path, answer.text)
        assert CANARY not in answer.text
    assert foreigner.get("/v1/jobs").json()["items"] == []


def test_every_guarded_route_asks_for_its_scope(stranger: Client, make_key: KeyMaker) -> None:
    others = {
        scope: stranger.with_key(make_key("acme", *(set(Scope) - {scope, Scope.ADMIN})))
        for scope in Scope
    }
    guarded = [call for call in CALLS if call.scope is not None]
    # A value that no guard may look at.
    ids = dict.fromkeys((part for call in guarded for part in call.parts), "x")

    answers = {}
    for call in guarded:
        assert call.scope is not None
        path = call.filled(ids)
        without = stranger.call(call.method, path).status_code
        answers[str(call)] = (without, others[call.scope].call(call.method, path).status_code)

    assert len(guarded) > 50
    assert answers == dict.fromkeys(answers, (401, 403))


def test_whoever_may_only_look_changes_nothing() -> None:
    changing = {str(call) for call in CALLS if call.scope is Scope.READ and call.method != "GET"}

    # It asks what jobs would cost, and makes none.
    assert changing == {"POST /v1/estimate"}
