import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs import identity
from jobs.identity import boot_id, is_dead, machine, owner_name, started

pytestmark = pytest.mark.skipif(not machine(), reason="this system does not tell processes apart")


def name_of(pid: int, began: str | None) -> str:
    return f"host:{machine()}:{pid}:{began}"


def test_this_process_lives() -> None:
    assert not is_dead(owner_name())


def test_a_name_tells_the_process() -> None:
    assert owner_name().rsplit(":", 3)[1:] == [machine(), str(os.getpid()), started(os.getpid())]


def test_a_process_that_ended_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    name = name_of(child.pid, started(child.pid))
    assert not is_dead(name)

    child.communicate()

    assert is_dead(name)


def test_a_process_that_nobody_has_buried_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    name = name_of(child.pid, started(child.pid))
    assert child.stdin is not None
    child.stdin.close()

    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    assert is_dead(name)
    child.wait()


def test_another_process_under_the_same_number_is_not_mistaken_for_it() -> None:
    assert is_dead(name_of(os.getpid(), "1"))


@pytest.mark.parametrize(
    "name",
    ["", "dispatched", "host:elsewhere:1:1", "host:elsewhere-1:not a number:1", "a:b:c"],
    ids=["nothing", "the dispatcher", "another machine", "no number", "too short"],
)
def test_what_cannot_be_judged_is_not_dead(name: str) -> None:
    assert not is_dead(name)


def test_a_name_with_no_number_is_not_dead_even_here() -> None:
    assert not is_dead(f"host:{machine()}:none:1")


@pytest.fixture
def forgetful() -> Iterator[None]:
    """What a process knows of its machine is asked for again, before and after."""
    known = (boot_id, machine)
    for remembered in known:
        remembered.cache_clear()
    yield
    for remembered in known:
        remembered.cache_clear()


@pytest.mark.usefixtures("forgetful")
def test_without_a_boot_id_nobody_is_called_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "BOOT_ID", Path("/nowhere"))

    assert machine() == ""
    assert not is_dead("host:elsewhere:1:1")
    assert not is_dead(owner_name())
