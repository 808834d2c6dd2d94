"""`/v1/webhooks` as an administrator of a project uses it."""

from datetime import UTC, datetime

import pytest

from tests.integration.api.conftest import KeyMaker
from tests.integration.api.serving import Client

URL = "https://shop.example/darkroom"


@pytest.fixture
def admin(stranger: Client, make_key: KeyMaker) -> Client:
    return stranger.with_key(make_key("acme", "admin"))


def test_an_endpoint_is_made_changed_rotated_and_removed(admin: Client) -> None:
    made = admin.post("/v1/webhooks", json={"url": URL, "events": ["job.failed"]})
    path = made.headers["location"]

    changed = admin.call("PATCH", path, json={"events": [], "enabled": False}).json()
    begun = admin.call("PATCH", path, json={"enabled": True}).json()
    rotated = admin.post(f"{path}/rotate").json()
    (listed,) = admin.get("/v1/webhooks").json()["items"]

    assert made.status_code == 201
    assert made.json()["secret"].startswith("whsec_")
    assert (changed["enabled"], changed["disabled_reason"]) == (False, "by hand")
    assert (begun["enabled"], begun["events"]) == (True, [])
    assert rotated["secret"] != made.json()["secret"]
    assert "secret" not in listed
    assert admin.call("DELETE", path).status_code == 204
    assert admin.get(path).status_code == 404


def test_a_test_message_is_in_the_log_and_told_again(admin: Client) -> None:
    path = admin.post("/v1/webhooks", json={"url": URL}).headers["location"]

    sent = admin.post(f"{path}/test").json()
    (logged,) = admin.get(f"{path}/deliveries").json()["items"]
    again = admin.post(f"/v1/webhooks/deliveries/{sent['id']}/replay").json()
    since = datetime.now(UTC).isoformat()

    assert (logged["id"], logged["type"], logged["state"]) == (sent["id"], "test", "waiting")
    assert again["id"] == sent["id"]
    assert admin.post(f"{path}/replay", json={"since": since}).json() == {"replayed": 0}


@pytest.mark.parametrize(
    "url", ["http://shop.example/", "https://127.0.0.1/", "https://me:pw@shop.example/", "ftp:x"]
)
def test_an_address_that_may_not_be_called_is_refused_everywhere(admin: Client, url: str) -> None:
    core = {"operation": "generate/core", "params": {"prompt": "a hare"}}
    answers = [
        admin.post("/v1/webhooks", json={"url": url}),
        admin.post("/v1/jobs", json={**core, "webhook_url": url}),
        admin.post("/v1/batches", json={"jobs": [core], "webhook_url": url}),
        admin.post("/v1/flows", json={"steps": {"a": {**core, "webhook_url": url}}}),
    ]

    assert [answer.status_code for answer in answers] == [422] * 4
    for answer in answers:
        assert {fault["code"] for fault in answer.json()["faults"]} == {"address_refused"}


def test_the_same_address_twice_is_a_conflict(admin: Client) -> None:
    first, second = (admin.post("/v1/webhooks", json={"url": URL}) for _ in range(2))

    assert (first.status_code, second.status_code) == (201, 409)


def test_another_projects_endpoints_are_not_there(
    admin: Client, stranger: Client, make_key: KeyMaker
) -> None:
    path = admin.post("/v1/webhooks", json={"url": URL}).headers["location"]
    delivery = admin.post(f"{path}/test").json()["id"]
    other = stranger.with_key(make_key("other", "admin"))

    calls = [
        ("GET", path),
        ("PATCH", path),
        ("DELETE", path),
        ("POST", f"{path}/rotate"),
        ("POST", f"{path}/test"),
        ("GET", f"{path}/deliveries"),
        ("POST", f"/v1/webhooks/deliveries/{delivery}/replay"),
    ]

    answers = [other.call(method, to, json={}) for method, to in calls]
    assert [answer.status_code for answer in answers] == [404] * len(calls)
    assert other.get("/v1/webhooks").json()["items"] == []


def test_only_an_administrator_manages_webhooks(client: Client) -> None:
    assert client.get("/v1/webhooks").status_code == 403
