"""Ids, headers, limits, and answers to what makes no sense."""

import re
import socket
from urllib.parse import urlsplit

import pytest

from tests.integration.api.serving import Client

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
