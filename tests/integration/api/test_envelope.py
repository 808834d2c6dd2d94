"""Ids, headers, limits, and answers to what makes no sense."""

import re
import socket
from base64 import b64encode
from hashlib import sha256
from urllib.parse import urlsplit

import pytest

from jobs.settings import Settings
from tests.integration.api.serving import Client, served

PREFLIGHT = {"origin": "https://shop.example", "access-control-request-method": "POST"}
MIB = 1024 * 1024


def test_every_answer_has_a_request_id_and_safe_headers(stranger: Client) -> None:
    answer = stranger.get("/healthz")

    assert re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"])
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "server" not in answer.headers


def test_a_callers_own_request_id_comes_back(stranger: Client) -> None:
    answer = stranger.get("/nowhere", headers={"x-request-id": "mine-7"})

    assert answer.headers["x-request-id"] == "mine-7"
    assert answer.json()["request_id"] == "mine-7"


def test_a_request_id_that_could_forge_a_log_line_is_replaced(stranger: Client) -> None:
    answer = stranger.get("/healthz", headers={"x-request-id": 'a" level="error'})

    assert re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"])


def test_an_unknown_address_is_a_problem_with_a_code(stranger: Client) -> None:
    answer = stranger.get("/nowhere")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "not_found"


def test_an_error_of_ours_shows_nothing_of_the_inside(
    stranger: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stranger.app.state, "readiness", None)

    answer = stranger.get("/readyz")

    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert "NoneType" not in answer.text
    assert "x-request-id" in answer.headers


def test_a_body_without_a_length_is_refused_too(client: Client) -> None:
    pieces = (b" " * MIB for _ in range(8))

    answer = client.post("/v1/jobs", data=pieces, headers={"content-type": "application/json"})

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_a_body_that_does_not_come_is_not_waited_for(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.envelope.BODY_SECONDS", 0.2)
    head = (
        f"POST /v1/jobs HTTP/1.1\r\nhost: x\r\nauthorization: {client.headers['authorization']}"
        "\r\ncontent-type: application/json\r\ncontent-length: 10\r\nconnection: close\r\n\r\n{"
    )

    with socket.create_connection(("127.0.0.1", urlsplit(client.address).port), 30) as connection:
        connection.sendall(head.encode())
        answer = connection.makefile("rb").read()

    assert b" 408 " in answer
    assert b"request_timeout" in answer


def test_a_method_that_is_not_taken_is_answered_with_those_that_are(client: Client) -> None:
    answers = [client.call("OPTIONS", path) for path in ("/v1/jobs", f"/v1/webhooks/{'0' * 26}")]

    assert [(answer.status_code, answer.headers["allow"]) for answer in answers] == [
        (405, "GET, POST"),
        (405, "DELETE, GET, PATCH"),
    ]


def test_too_many_headers_are_refused(stranger: Client) -> None:
    answer = stranger.get("/healthz", headers={f"x-{n}": "1" for n in range(101)})

    assert (answer.status_code, answer.json()["code"]) == (431, "headers_too_large")


def test_too_large_headers_are_refused(stranger: Client) -> None:
    answer = stranger.get("/healthz", headers={"x-large": "1" * 40_000})

    assert (answer.status_code, answer.json()["code"]) == (431, "headers_too_large")


def test_pages_of_other_origins_may_not_call(stranger: Client) -> None:
    answer = stranger.call("OPTIONS", "/v1/jobs", headers=PREFLIGHT)

    assert answer.status_code == 405
    assert not any(name.lower().startswith("access-control") for name in answer.headers)


def test_pages_of_an_origin_that_the_settings_name_may_call(settings: Settings) -> None:
    named = settings.model_copy(update={"darkroom_cors_origins": "https://shop.example"})
    with served(named) as caller:
        asked = caller.call("OPTIONS", "/v1/jobs", headers=PREFLIGHT)
        refused = caller.get("/v1/jobs", headers={"origin": "https://shop.example"})
        other = caller.call(
            "OPTIONS", "/v1/jobs", headers=PREFLIGHT | {"origin": "https://x.example"}
        )

    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == "https://shop.example"
    assert asked.headers["x-content-type-options"] == "nosniff"
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == "https://shop.example"
    assert "access-control-allow-origin" not in other.headers


def test_every_kind_of_answer_has_safe_headers(client: Client, stranger: Client) -> None:
    answers = [
        client.get("/v1/jobs"),
        stranger.get("/v1/jobs"),
        client.get("/nowhere"),
        client.get("/docs"),
        client.get("/stability/v1/engines/list"),
    ]

    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


def test_the_documents_are_a_page_that_needs_nothing_from_elsewhere(stranger: Client) -> None:
    answer = stranger.get("/docs")
    calls = stranger.get("/openapi.json").json()["paths"]

    addresses = re.findall(
        r"(?:src|href)\s*=\s*[\"']?([^\"'> ]+)|url\(([^)]*)|(@import)", answer.text
    )
    assert {first or second or third for first, second, third in addresses if first[:1] != "#"} == {
        "/openapi.json"
    }
    assert "<script" not in answer.text
    assert "'unsafe" not in answer.headers["content-security-policy"]
    assert [path for path in calls if f"<code>{path}</code>" not in answer.text] == []
    assert "a lighthouse at dusk" in answer.text


def test_the_style_of_the_documents_is_the_one_that_their_policy_allows(stranger: Client) -> None:
    answer = stranger.get("/docs")

    style = answer.text.partition("<style>")[2].partition("</style>")[0]
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in answer.headers["content-security-policy"]
