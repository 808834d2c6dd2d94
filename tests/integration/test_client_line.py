"""The connection that is opened before a paid call: used once, and only while it is alive."""

import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from threading import Thread

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from requests import adapters
from urllib3.connection import HTTPConnection, HTTPSConnection

from jobs.stability import client
from jobs.stability.client import Line, StabilityClient
from tests.servers import wait_until


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def connect(listener: socket.socket) -> tuple[HTTPConnection, socket.socket]:
    """Both ends of a connection."""
    connection = HTTPConnection("127.0.0.1", listener.getsockname()[1], timeout=5)
    connection.connect()
    return connection, listener.accept()[0]


def test_a_line_is_used_once(listener: socket.socket) -> None:
    connection, other_end = connect(listener)
    line = Line()
    line.hold(connection)

    with closing(other_end), closing(connection):
        assert line.take() is connection
        assert line.take() is None


def test_a_line_that_the_server_has_closed_is_not_used(listener: socket.socket) -> None:
    connection, other_end = connect(listener)
    line = Line()
    line.hold(connection)
    other_end.close()

    wait_until(lambda: not client.is_silent(connection), "the end has come")

    assert line.take() is None
    assert connection.sock is None


def test_an_old_line_is_not_used(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    connection, other_end = connect(listener)
    line = Line()
    line.hold(connection)
    monkeypatch.setattr(client, "LINE_SECONDS", -1.0)

    with closing(other_end):
        assert line.take() is None
    assert connection.sock is None


def test_what_is_not_used_is_closed(listener: socket.socket) -> None:
    first, other_end = connect(listener)
    second, another_end = connect(listener)
    line = Line()

    line.hold(first)
    line.hold(second)
    line.drop()

    with closing(other_end), closing(another_end):
        assert (first.sock, second.sock) == (None, None)


def test_session_tickets_are_no_sign_of_an_end(listener: socket.socket, tmp_path: Path) -> None:
    # Given a server that, as all do over TLS 1.3, sends tickets after the handshake,
    certificate = write_certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certificate)
    ends: list[socket.socket] = []
    server = Thread(
        target=lambda: ends.append(context.wrap_socket(listener.accept()[0], server_side=True))
    )
    server.start()

    # when a line is opened to it,
    connection = HTTPSConnection(
        "127.0.0.1", listener.getsockname()[1], timeout=5, ca_certs=str(certificate)
    )
    connection.connect()
    server.join()
    line = Line()
    line.hold(connection)

    # then it is used.
    with closing(ends[0]), closing(connection):
        assert line.take() is connection


def speak_plainly(caller: socket.socket) -> None:
    caller.recv(1)
    caller.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    caller.close()


def hang_up(caller: socket.socket) -> None:
    caller.recv(1)
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    caller.close()


@pytest.mark.parametrize("answer", [speak_plainly, hang_up])
def test_a_failed_handshake_is_an_error_of_requests(
    listener: socket.socket, answer: Callable[[socket.socket], None]
) -> None:
    # Given a server that does not get as far as TLS,
    server = Thread(target=lambda: answer(listener.accept()[0]))
    server.start()
    client = StabilityClient(f"https://127.0.0.1:{listener.getsockname()[1]}")

    # when a line is opened to it, then its caller, who expects what requests raises, can tell.
    with pytest.raises(requests.RequestException), client.line():
        pass
    server.join()


def test_a_silent_handshake_is_an_error_of_requests(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "CONNECT_SECONDS", 0.1)
    waiting = StabilityClient(f"https://127.0.0.1:{listener.getsockname()[1]}")

    with pytest.raises(requests.RequestException), waiting.line():
        pass


def test_the_first_line_trusts_whom_requests_trusts(
    listener: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a server whose certificate only requests' own bundle vouches for,
    certificate = write_certificate(tmp_path)
    monkeypatch.setattr(adapters, "DEFAULT_CA_BUNDLE_PATH", str(certificate))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    ends: list[socket.socket] = []
    server = Thread(
        target=lambda: ends.append(context.wrap_socket(listener.accept()[0], server_side=True))
    )
    server.start()

    # when a line is opened before anything else was sent, then it is open.
    with StabilityClient(f"https://127.0.0.1:{listener.getsockname()[1]}").line():
        server.join()
        assert ends
    ends[0].close()


def write_certificate(folder: Path) -> Path:
    """A key and a certificate for 127.0.0.1 in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + built.public_bytes(serialization.Encoding.PEM)
    )
    return path
