"""Several commands in one home: they share what runs, take it over, and do not get mixed up."""

import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.functional.darkroom import Begun, Darkroom
from tests.functional.ledger import accounts
from tests.functional.manifests import prompts
from tests.integration.sandbox.caller import Caller
from tests.servers import free_port

ROWS = 60


@pytest.fixture
def player(darkroom: Darkroom) -> Darkroom:
    """A user without a key, whose limiter lets a new Redis begin soon."""
    return darkroom.having(DARKROOM_RATE="20/1s")


def batch(user: Darkroom, name: str, rows: int) -> tuple[object, ...]:
    """The command for a batch of so many rows."""
    manifest = prompts(user.folder / f"{name}.csv", *(f"{name} {n}" for n in range(rows)))
    return ("run", manifest, "--out", user.folder / name, "--yes", "--json")


def test_who_stands_by_goes_on_when_the_first_command_ends(player: Darkroom) -> None:
    # Given a run that uses the Redis, the sandbox and the worker of another command
    with ExitStack() as stack:
        up = stack.enter_context(player.running("up", "--port", free_port()))
        read_place(up)
        run = stack.enter_context(player.running(*batch(player, "many", ROWS)))
        assert run.child.stderr is not None
        assert any(f"/{ROWS}" in line for line in run.child.stderr), "it shows how far it is"
        assert run.workers() == []

        # When that ends before all is made
        up.interrupt()
        up_ended = up.end()

        # Then it takes over, and goes on to its end
        ended = run.end()

    assert up_ended.code == 0, up_ended
    assert ended.code == 0, ended
    assert ended.json["counts"] == {"succeeded": ROWS}


def test_a_real_key_is_refused_beside_a_sandbox(darkroom: Darkroom, api: Caller) -> None:
    # Given a command without a key
    with darkroom.running("up", "--port", free_port()) as up:
        read_place(up)

        # When commands with one are used beside it
        paying = darkroom.asking(api)
        ends = [
            paying.run(*batch(paying, "paid", 2)),
            paying.run("submit", "generate/core", "prompt=a lake", "--wait"),
        ]

    # Then they say so, and draw no patterns
    for ended in ends:
        assert ended.code == 2, ended
        assert len(ended.complaints) == 1, ended
        assert "asks the sandbox" in ended.err
    assert darkroom.jobs() == []
    assert accounts(api) == []


def test_an_address_without_a_key_is_no_sandbox(darkroom: Darkroom, api: Caller) -> None:
    ended = darkroom.having(STABILITY_API_HOST=api.address).run(*batch(darkroom, "one", 1))

    assert ended.code == 2
    assert len(ended.complaints) == 1, ended
    assert "STABILITY_API_KEY is not" in ended.err


def test_a_port_that_another_program_has_is_told_at_once(darkroom: Darkroom, api: Caller) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        ended = darkroom.asking(api).run("up", "--port", other.getsockname()[1])

    assert ended.code == 2
    assert len(ended.complaints) == 1, ended
    assert "Address already in use" in ended.err
    assert ended.out == ""
    assert not Path(darkroom.home / "log").exists()


def test_up_is_ready_where_it_was_told_to_listen_and_stands_by_there(
    darkroom: Darkroom, api: Caller
) -> None:
    # Given commands of one home that listen on several addresses, and one that has the first again
    addresses = [("127.0.0.2", free_port()), ("0.0.0.0", free_port())]
    addresses.append(addresses[0])
    user = darkroom.asking(api)

    with ExitStack() as stack:
        ups = [
            stack.enter_context(user.running("up", "--host", host, "--port", port))
            for host, port in addresses
        ]

        # Then each gets ready
        assert [read_place(up) for up in ups] == [
            f"http://{host}:{port}" for host, port in addresses
        ]


def read_place(up: Begun) -> str:
    """Where `up` says that the API is, once it is there."""
    assert up.child.stdout is not None
    while line := up.child.stdout.readline():
        if line.startswith("http"):
            return line.partition(": ")[0]
    raise AssertionError(up.end())
