"""Ports: whose they are, and who answers there."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jobs.embedded.lock import Lock
from jobs.embedded.ports import check_free, is_healthy, origin, shared_port
from jobs.errors import PartUnavailable
from tests.servers import free_port


@pytest.fixture
def other() -> Iterator[socket.socket]:
    """Another program that listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def test_all_of_a_home_choose_the_same_port_at_once_and_later(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        ports = set(pool.map(lambda _: shared_port(tmp_path, "sandbox"), range(8)))

    assert ports == {shared_port(tmp_path, "sandbox")}
    assert shared_port(tmp_path / "other", "sandbox") not in ports


def test_a_port_that_another_program_took_meanwhile_is_given_up(
    tmp_path: Path, other: socket.socket
) -> None:
    # Given a home whose port is taken
    taken = other.getsockname()[1]
    shared_port(tmp_path, "sandbox")
    (tmp_path / "run" / "sandbox.port").write_text(str(taken))

    # Then it stays as long as it is the home's own program that has it, and no longer
    lock = Lock(tmp_path, "sandbox")
    assert lock.acquire()
    assert shared_port(tmp_path, "sandbox") == taken
    lock.release()
    assert shared_port(tmp_path, "sandbox") != taken


def test_a_place_that_cannot_be_had_is_named_with_the_reason(other: socket.socket) -> None:
    port = other.getsockname()[1]

    with pytest.raises(PartUnavailable, match=rf"127\.0\.0\.1:{port}: Address already in use"):
        check_free("127.0.0.1", port)
    with pytest.raises(PartUnavailable, match=r"http://no\.such\.host\.test:1: "):
        check_free("no.such.host.test", 1)
    check_free("127.0.0.1", free_port())


def test_who_only_listens_is_not_our_interface(
    other: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.embedded.ports.ANSWER_SECONDS", 0.1)

    assert not is_healthy("127.0.0.1", other.getsockname()[1])
    assert not is_healthy("127.0.0.1", free_port())


@pytest.mark.parametrize(
    ("host", "shown"), [("127.0.0.1", "http://127.0.0.1:80"), ("::1", "http://[::1]:80")]
)
def test_an_address_is_written_as_clients_take_it(host: str, shown: str) -> None:
    assert origin(host, 80) == shown
