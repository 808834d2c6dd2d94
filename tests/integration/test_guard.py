"""The guard on real sockets: where it connects, where it does not, and when it gives up."""

import gzip
import io
import socket
from collections.abc import Callable

import pytest
from urllib3.util import connection

from jobs.downloads import Limits, download
from jobs.errors import AddressRefused, DarkroomError, DownloadRefused, Unreachable
from jobs.guard import HTTP_TOO, Guard
from tests.sockets import Caller, Script, head_of, header, scripted

MIB = 1024 * 1024
PUBLIC = "93.184.216.34"
LIMITS = Limits(most_bytes=MIB, seconds=10.0)
INSIDE = Guard(schemes=HTTP_TOO, allow_private=True)
OUTSIDE = Guard(schemes=HTTP_TOO)

Resolver = Callable[..., None]


@pytest.fixture
def connects(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses to which a connection was begun; none of them gets anywhere."""
    begun: list[str] = []

    def refuse(address: tuple[str, int], *_: object, **__: object) -> socket.socket:
        begun.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(connection, "create_connection", refuse)
    return begun


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    """Makes the name server answer with these, one after the other; the last one stays."""

    def answer(*addresses: str) -> None:
        left = list(addresses)

        def look_up(_host: str, port: int, *_: object, **__: object) -> list[object]:
            address = left.pop(0) if len(left) > 1 else left[0]
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            return [(family, socket.SOCK_STREAM, 6, "", (address, port))]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)

    return answer


def fetched(guard: Guard, address: str, limits: Limits = LIMITS) -> bytes:
    file = io.BytesIO()
    download(guard, address, file, limits)
    return file.getvalue()


def fetched_from(script: Script, limits: Limits = LIMITS) -> bytes:
    with scripted(script) as server:
        return fetched(INSIDE, f"{server.address}/a.png", limits)


def answering(status: int, body: bytes = b"", **headers: str) -> Script:
    def script(caller: Caller) -> None:
        caller.read_request()
        caller.answer(status, body, **headers)

    return script


def test_a_file_arrives_as_it_is() -> None:
    assert fetched_from(answering(200, b"picture")) == b"picture"


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.0.0.1", "100.64.0.1", "169.254.169.254", "0.0.0.0", "168.63.129.16"),
        *("::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1"),
        *("2002:7f00:1::", "fec0::1", "fd00:ec2::254", "fe80::1", "ff02::1"),
    ],
)
def test_a_name_that_leads_inside_is_never_connected_to(
    address: str, resolve: Resolver, connects: list[str]
) -> None:
    resolve(address)

    with pytest.raises(AddressRefused, match="not a public one"):
        fetched(OUTSIDE, "https://rebound.example/a.png")

    assert connects == []


def test_an_answer_that_changes_after_the_check_changes_nothing(
    resolve: Resolver, connects: list[str]
) -> None:
    resolve(PUBLIC, "127.0.0.1")

    with pytest.raises(Unreachable):
        fetched(OUTSIDE, "https://rebound.example/a.png")

    assert connects == [PUBLIC]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, resolve: Resolver) -> Callable[[int], None]:
    """Puts a port of this machine in the place of a public host."""

    def put(port: int) -> None:
        def lead(address: tuple[str, int], *_: object, **__: object) -> socket.socket:
            assert address[0] == PUBLIC
            led = socket.socket()
            led.connect(("127.0.0.1", port))
            return led

        resolve(PUBLIC)
        monkeypatch.setattr(connection, "create_connection", lead)

    return put


@pytest.mark.parametrize(
    "target",
    [
        *("http://127.0.0.1/secret", "http://[::ffff:127.0.0.1]/", "http://2130706433/"),
        *("file:///etc/passwd", "ftp://example.com/", "http://user@example.com/", "//localhost/"),
        *("http://example.com:6379/", "http://[x/", "/caf\xe9.png"),
    ],
)
def test_a_redirect_is_checked_like_the_first_address(
    target: str, world: Callable[[int], None]
) -> None:
    with scripted(answering(302, location=target)) as server:
        world(server.port)

        with pytest.raises(AddressRefused):
            fetched(OUTSIDE, "http://example.com/a.png")

        assert server.accepted == 1


def test_a_redirect_to_a_name_that_leads_inside_is_refused(
    world: Callable[[int], None], resolve: Resolver
) -> None:
    with scripted(answering(302, location="http://inside.example/")) as server:
        world(server.port)
        resolve(PUBLIC, "10.0.0.1")

        with pytest.raises(AddressRefused):
            fetched(OUTSIDE, "http://example.com/a.png")

        assert server.accepted == 1


def test_the_host_keeps_its_name_though_an_address_is_called(
    world: Callable[[int], None],
) -> None:
    with scripted(answering(200, b"picture")) as server:
        world(server.port)

        assert fetched(OUTSIDE, "http://example.com/a.png") == b"picture"

        assert header(server.requests[0], "host") == "example.com"


def test_the_body_of_a_redirect_is_never_read() -> None:
    def script(caller: Caller) -> None:
        caller.read_request()
        caller.send(head_of(302, {"location": "/elsewhere", "content-length": "9"}))
        caller.hold()

    with (
        scripted(script) as server,
        INSIDE.request("POST", server.address, seconds=10.0, data=b"{}") as response,
    ):
        assert response.status_code == 302


def test_redirects_without_end_are_refused() -> None:
    with pytest.raises(DownloadRefused, match="passed on more than 3 times"):
        fetched_from(answering(301, location="/again"))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((404, DownloadRefused), (403, DownloadRefused), (206, DownloadRefused)),
        *((500, Unreachable), (503, Unreachable), (429, Unreachable), (408, Unreachable)),
    ],
)
def test_an_answer_without_the_file_tells_whether_to_try_again(
    status: int, kind: type[DarkroomError]
) -> None:
    with pytest.raises(kind, match=str(status)):
        fetched_from(answering(status, b"the inside's secret"))


def test_what_the_other_side_says_is_not_passed_on() -> None:
    with pytest.raises(DownloadRefused) as refused:
        fetched_from(answering(404, b"the inside's secret"))

    assert "secret" not in str(refused.value)


def test_a_compressed_body_is_refused_unread() -> None:
    bomb = gzip.compress(bytes(20 * MIB))

    with pytest.raises(DownloadRefused, match="compressed"):
        fetched_from(answering(200, bomb, content_encoding="gzip"))


def test_a_body_that_says_it_is_too_large_is_refused_unread() -> None:
    def script(caller: Caller) -> None:
        caller.read_request()
        caller.send(b"HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n")
        caller.hold()

    with pytest.raises(DownloadRefused, match="more than 1 MiB"):
        fetched_from(script)


@pytest.mark.parametrize("head", [b"", b"content-length: 7\r\ncontent-length: 8\r\n"])
def test_a_body_that_does_not_say_so_is_cut_off_at_the_limit(head: bytes) -> None:
    def script(caller: Caller) -> None:
        caller.read_request()
        caller.send(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")
        for _ in range(100):
            caller.send(bytes(MIB))

    with pytest.raises((DownloadRefused, Unreachable)):
        fetched_from(script)


def drip(before: bytes) -> Script:
    """A host that sends a byte now and then, for ever."""

    def script(caller: Caller) -> None:
        caller.read_request()
        caller.send(before)
        while not caller.is_over(0.05):
            caller.send(b"1")

    return script


@pytest.mark.parametrize(
    "before",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nx-long: ",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 900000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
    ],
    ids=["status", "header", "body", "announced body", "chunk size"],
)
def test_a_host_that_drips_is_left_when_the_time_is_up(before: bytes) -> None:
    limits = Limits(most_bytes=MIB, seconds=0.3)

    with pytest.raises(Unreachable, match=r"longer than 0\.3 s"):
        fetched_from(drip(before), limits)


def test_a_host_that_says_nothing_is_left_when_the_time_is_up() -> None:
    with pytest.raises(Unreachable):
        fetched_from(lambda caller: caller.hold(), Limits(most_bytes=MIB, seconds=0.3))


@pytest.mark.parametrize(
    "answer",
    [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nshort", b""],
    ids=["no http", "cut off", "hung up"],
)
def test_a_broken_answer_is_a_passing_fault(answer: bytes) -> None:
    def script(caller: Caller) -> None:
        caller.read_request()
        caller.send(answer)

    with pytest.raises(Unreachable):
        fetched_from(script)


def test_a_host_without_tls_is_a_passing_fault() -> None:
    with scripted(lambda caller: caller.send(b"no TLS")) as server, pytest.raises(Unreachable):
        fetched(INSIDE, f"https://127.0.0.1:{server.port}/a.png")
