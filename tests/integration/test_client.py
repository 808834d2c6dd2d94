"""One call is one request, and what is known of it when the network fails: on real sockets."""

import io
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from jobs.catalog.loader import operation
from jobs.stability.client import SHORT, Arrival, StabilityClient
from jobs.stability.form import Body
from tests.servers import free_port
from tests.sockets import Caller, Script, Server, head_of, header, scripted

CORE = operation("generate/core")
VIDEO = operation("image-to-video")
#: More than all buffers between two sockets hold.
LARGE = 32 << 20
KEY = "sk-a-key-that-is-not-one"
PNG = {"content_type": "image/png"}


def small_body() -> Body:
    return Body(io.BytesIO(b"prompt"), 6, "multipart/form-data; boundary=x")


def large_body() -> Body:
    return Body(io.BytesIO(bytes(LARGE)), LARGE, "multipart/form-data; boundary=x")


def client_of(server: Server, answer_seconds: float = 20.0) -> StabilityClient:
    return StabilityClient(server.address, answer_seconds=answer_seconds)


@contextmanager
def created(client: StabilityClient, body: Body | None = None) -> Iterator[requests.Response]:
    with client.create(CORE, CORE.path, body or small_body(), key=KEY, attempt_id="a1") as answer:
        yield answer


def call(client: StabilityClient, body: Body) -> bytes:
    """Make the paid call and read all of its answer."""
    with created(client, body) as answer:
        return answer.content


def test_a_call_says_who_calls_and_what_it_wants() -> None:
    def script(caller: Caller) -> None:
        caller.read_request()
        caller.answer(200, b"picture", **PNG)

    with scripted(script) as server:
        content = call(client_of(server), body := small_body())

    assert content == b"picture"
    [head] = server.requests
    assert head.startswith(f"POST {CORE.path} HTTP/1.1")
    wanted = {
        "authorization": f"Bearer {KEY}",
        "accept": "image/*",
        "content-type": body.content_type,
        "content-length": "6",
        "connection": "close",
        "stability-client-user-id": "a1",
    }
    assert {name: header(head, name) for name in wanted} == wanted
    assert body.is_sent


def reset_at_once(caller: Caller) -> None:
    caller.reset()


def reset_after_the_head(caller: Caller) -> None:
    caller.read_head()
    caller.reset()


def close_after_the_head(caller: Caller) -> None:
    caller.read_head()


def reset_after_the_body(caller: Caller) -> None:
    caller.read_request()
    caller.reset()


def close_after_the_body(caller: Caller) -> None:
    caller.read_request()


def hang(caller: Caller) -> None:
    caller.read_request()
    caller.hold()


def hang_in_the_head(caller: Caller) -> None:
    caller.read_request()
    caller.send(b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\n")
    caller.hold()


def no_http(caller: Caller) -> None:
    caller.read_request()
    caller.send(b"SSH-2.0-OpenSSH\r\n\r\n")


def too_short(caller: Caller) -> None:
    caller.read_request()
    caller.send(head_of(200, {"content-length": "100", **PNG}) + b"half")


def too_short_in_chunks(caller: Caller) -> None:
    caller.read_request()
    caller.send(head_of(200, {"transfer-encoding": "chunked", **PNG}) + b"40\r\nhalf")


def without_the_last_chunk(caller: Caller) -> None:
    caller.read_request()
    caller.send(head_of(200, {"transfer-encoding": "chunked", **PNG}) + b"4\r\nhalf\r\n")


def bad_chunks(caller: Caller) -> None:
    caller.read_request()
    caller.send(head_of(200, {"transfer-encoding": "chunked", **PNG}) + b"many\r\nhalf\r\n")


def bad_compression(caller: Caller) -> None:
    caller.read_request()
    caller.answer(200, b"not compressed", content_encoding="gzip", **PNG)


def hang_in_the_body(caller: Caller) -> None:
    caller.read_request()
    caller.send(head_of(200, {"content-length": "100", **PNG}) + b"half")
    caller.hold()


@pytest.mark.parametrize(
    "script",
    [
        reset_after_the_body,
        close_after_the_body,
        hang,
        hang_in_the_head,
        no_http,
        too_short,
        too_short_in_chunks,
        without_the_last_chunk,
        bad_chunks,
        bad_compression,
        hang_in_the_body,
    ],
    ids=lambda script: script.__name__,
)
def test_an_answer_that_is_lost_after_the_body_leaves_it_sent(script: Script) -> None:
    body = small_body()

    with scripted(script) as server, pytest.raises(requests.RequestException):
        call(client_of(server, answer_seconds=0.5), body)

    assert body.is_sent
    assert (server.accepted, len(server.requests)) == (1, 1)


@pytest.mark.parametrize(
    "script",
    [reset_at_once, reset_after_the_head, close_after_the_head],
    ids=lambda script: script.__name__,
)
def test_a_connection_that_breaks_within_a_large_body_leaves_it_unsent(script: Script) -> None:
    body = large_body()

    with scripted(script) as server, pytest.raises(requests.ConnectionError):
        call(client_of(server), body)

    assert not body.is_sent
    assert server.accepted == 1


def test_a_server_that_takes_no_more_of_the_body_leaves_it_unsent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop_reading(caller: Caller) -> None:
        caller.read_head()
        caller.hold()

    monkeypatch.setattr("jobs.stability.client.CONNECT_SECONDS", 0.5)
    body = large_body()
    with scripted(stop_reading) as server, pytest.raises(requests.RequestException):
        call(client_of(server, answer_seconds=0.5), body)

    assert not body.is_sent


def test_an_answer_before_the_body_is_complete_is_read() -> None:
    def refuse_early(caller: Caller) -> None:
        caller.read_head()
        caller.answer(413, b"too large")
        # A reset would take the answer with it: the caller is read until it has noticed.
        while True:
            caller.read_request()

    body = Body(io.BytesIO(bytes(1 << 20)), 1 << 20, "multipart/form-data; boundary=x")
    with scripted(refuse_early) as server, created(client_of(server), body) as answer:
        assert (answer.status_code, answer.content) == (413, b"too large")


def test_a_refused_connection_leaves_the_body_unsent() -> None:
    body = small_body()

    with pytest.raises(requests.ConnectionError):
        call(StabilityClient(f"http://127.0.0.1:{free_port()}"), body)

    assert not body.is_sent


@pytest.mark.parametrize("host", ["http://no-such-host.invalid", f"http://{'a' * 70}.invalid"])
def test_a_name_that_is_unknown_leaves_the_body_unsent(host: str) -> None:
    body = small_body()

    with pytest.raises(requests.RequestException):
        call(StabilityClient(host), body)

    assert not body.is_sent


def test_a_failed_tls_handshake_leaves_the_body_unsent() -> None:
    def speak_plainly(caller: Caller) -> None:
        caller.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    body = small_body()
    with scripted(speak_plainly) as server, pytest.raises(requests.RequestException):
        call(StabilityClient(f"https://127.0.0.1:{server.port}"), body)

    assert not body.is_sent
    assert server.requests == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    def redirect(caller: Caller) -> None:
        while True:
            caller.read_request()
            caller.answer(status, location="/elsewhere")

    with scripted(redirect) as server:
        client = client_of(server)
        with created(client) as answer:
            assert answer.status_code == status
        with client.poll(VIDEO, "abc", key=KEY) as answer:
            assert answer.status_code == status
        assert client.balance(key=KEY).status_code == status

    assert len(server.requests) == 3


def test_it_does_not_matter_where_a_redirect_leads_and_what_comes_with_it() -> None:
    def redirect(caller: Caller) -> None:
        caller.read_request()
        caller.send(head_of(302, {"location": "/caf\xe9", "content-length": "9"}))
        caller.hold()

    with scripted(redirect) as server:
        client = client_of(server)
        with created(client) as answer:
            assert answer.status_code == 302
        with client.poll(VIDEO, "abc", key=KEY) as answer:
            assert answer.status_code == 302


def test_each_paid_call_has_a_connection_of_its_own() -> None:
    def keep_alive(caller: Caller) -> None:
        while True:
            caller.read_request()
            caller.answer(200, b"picture", **PNG)

    with scripted(keep_alive) as server:
        client = client_of(server)
        for _ in range(3):
            assert call(client, small_body()) == b"picture"

    assert (server.accepted, len(server.requests)) == (3, 3)


def test_polls_share_a_connection() -> None:
    def keep_alive(caller: Caller) -> None:
        while True:
            caller.read_request()
            caller.answer(202, b"{}")

    with scripted(keep_alive) as server:
        client = client_of(server)
        for _ in range(3):
            with client.poll(VIDEO, "abc", key=KEY) as answer:
                assert Arrival(answer).look() == b"{}"

    assert (server.accepted, len(server.requests)) == (1, 3)


def test_a_failed_poll_is_not_repeated() -> None:
    with scripted(close_after_the_body) as server:
        client = client_of(server)
        with pytest.raises(requests.ConnectionError), client.poll(VIDEO, "abc", key=KEY):
            pass

    assert len(server.requests) == 1


def test_a_busy_answer_is_not_repeated() -> None:
    def busy(caller: Caller) -> None:
        caller.read_request()
        caller.answer(503, b"{}", retry_after="0")

    with scripted(busy) as server, created(client_of(server)) as answer:
        assert answer.status_code == 503

    assert len(server.requests) == 1


def test_proxies_and_passwords_of_the_environment_are_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def script(caller: Caller) -> None:
        caller.read_request()
        caller.answer(200, b"picture", **PNG)

    nowhere = f"http://127.0.0.1:{free_port()}"
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, nowhere)
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with scripted(script) as server:
        assert call(client_of(server), small_body()) == b"picture"

    assert header(server.requests[0], "authorization") == f"Bearer {KEY}"


def test_cookies_are_not_kept() -> None:
    def sticky(caller: Caller) -> None:
        while True:
            caller.read_request()
            caller.answer(200, b"{}", set_cookie="session=1; Path=/")

    with scripted(sticky) as server:
        client = client_of(server)
        for _ in range(2):
            call(client, small_body())
            with client.poll(VIDEO, "abc", key=KEY) as answer:
                assert answer.status_code == 200

    assert [header(head, "cookie") for head in server.requests] == [None] * 4


def test_the_accounts_address_is_asked_for_the_balance() -> None:
    def script(caller: Caller) -> None:
        caller.read_request()
        caller.answer(200, b'{"credits": 5.5}')

    with scripted(script) as server:
        assert client_of(server).balance(key=KEY).json() == {"credits": 5.5}

    assert server.requests[0].startswith("GET /v1/user/balance HTTP/1.1")


def test_an_endless_answer_that_is_no_media_is_read_only_at_its_start() -> None:
    def endless(caller: Caller) -> None:
        caller.read_request()
        caller.send(head_of(400, {"content-type": "text/html"}))
        while True:
            caller.send(b"x" * 65536)

    with scripted(endless) as server, created(client_of(server)) as answer:
        assert Arrival(answer).look() == b"x" * SHORT


def test_nobody_waits_for_a_host_that_does_not_answer_the_handshake(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("jobs.stability.client.CONNECT_SECONDS", 0.3)
    body = small_body()
    # A full queue of connections that nobody accepts drops further handshakes.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        with pytest.raises(requests.ConnectTimeout):
            call(StabilityClient(f"http://127.0.0.1:{address[1]}"), body)
        for one in waiting:
            one.close()

    assert not body.is_sent
