"""Children, supervision and the embedded Redis, with real processes."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import redis

from jobs.embedded.child import kill_child, start_child, stop_child
from jobs.embedded.lock import Lock, running
from jobs.embedded.post import Program
from jobs.embedded.redis import answers, redis_program, redis_url, server_binary, socket_path
from jobs.embedded.supervisor import Supervisor
from jobs.errors import PartUnavailable
from tests.servers import temporary_folder, unavailable, wait_until

REPOSITORY = Path(__file__).parents[2]
SOON = timedelta(seconds=10)
FOREVER = ("sleep", "1000")
#: Says that it is there, and then does not listen to SIGTERM.
STUBBORN = (
    "sh",
    "-c",
    "trap '' TERM; touch started; while true; do sleep 0.05; done",
)


@pytest.fixture
def home() -> Iterator[Path]:
    with temporary_folder() as folder:
        yield folder


@pytest.fixture
def redis_home(home: Path) -> Path:
    try:
        server_binary()
    except PartUnavailable:
        unavailable("a Redis server")
    return home


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that only waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def pid_of(supervisor: Supervisor, name: str) -> int:
    """The process id, once it runs."""
    wait_until(lambda: supervisor.pid(name) is not None, f"{name} runs")
    pid = supervisor.pid(name)
    assert pid is not None
    return pid


def test_a_child_writes_to_its_log_and_has_its_own_environment(home: Path) -> None:
    log = home / "log" / "child.log"

    child = start_child(
        ["sh", "-c", "echo $FRUIT; echo $PATH >&2"], log=log, environment={"FRUIT": "fig"}
    )

    assert child.wait(10) == 0
    assert log.read_text() == f"fig\n{os.environ['PATH']}\n"


def test_a_child_starts_in_less_than_50_ms(home: Path) -> None:
    def seconds() -> float:
        begun = time.monotonic()
        start_child(["true"], log=home / "child.log").wait(10)
        return time.monotonic() - begun

    # The machine may be busy, but hardly all the time.
    assert any(seconds() < 0.05 for _ in range(20))


def test_a_large_log_is_set_aside(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.embedded.child.LOG_BYTES", 10)
    log = home / "child.log"
    log.write_text("more than ten bytes")

    start_child(["echo", "new"], log=log).wait(10)

    assert log.read_text() == "new\n"
    assert (home / "child.old.log").read_text() == "more than ten bytes"


def test_a_child_is_asked_before_it_is_killed(home: Path) -> None:
    polite = start_child(FOREVER, log=home / "polite.log")

    stop_child(polite, grace=SOON)

    assert polite.returncode == -signal.SIGTERM


def test_a_child_that_does_not_listen_is_killed_with_its_own_children(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a child that ignores SIGTERM and has a child of its own
    monkeypatch.chdir(home)
    script = "trap '' TERM; sleep 1000 & echo $! > child; wait; wait"
    stubborn = start_child(["sh", "-c", script], log=home / "stubborn.log")
    wait_until(lambda: (home / "child").exists() and bool((home / "child").read_text()), "it runs")
    grandchild = int((home / "child").read_text())

    stop_child(stubborn, grace=timedelta(seconds=0.1))

    assert stubborn.returncode == -signal.SIGKILL
    wait_until(lambda: not is_alive(grandchild), "the grandchild is gone", 1)


def test_ctrl_c_reaches_only_the_parent(home: Path) -> None:
    child = start_child(FOREVER, log=home / "child.log")

    assert os.getsid(child.pid) == child.pid != os.getsid(0)

    kill_child(child)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_a_parent_that_is_killed_takes_its_children_along(home: Path) -> None:
    # Given a process that supervises two programs, one of which ignores SIGTERM
    program = f"""
import time
from datetime import timedelta
from pathlib import Path
from jobs.embedded.post import Program
from jobs.embedded.supervisor import Supervisor

home = Path({str(home)!r})
programs = [
    Program(name="meek", command={FOREVER!r}),
    Program(name="stubborn", command={STUBBORN!r}),
]
with Supervisor(home, programs, say=print) as supervisor:
    while not all(supervisor.pid(p.name) for p in programs) or not Path("started").exists():
        time.sleep(0.01)
    print(*(supervisor.pid(p.name) for p in programs), flush=True)
    time.sleep(1000)
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        cwd=home,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    with parent:
        assert parent.stdout is not None
        children = [int(pid) for pid in parent.stdout.readline().split()]
        assert [is_alive(pid) for pid in children] == [True, True]
        assert running(home, "meek")

        # When it is killed without a chance to clean up
        parent.kill()
        parent.wait(10)

    # Then its children are gone within a second, and their locks are free
    wait_until(lambda: not any(map(is_alive, children)), "the children are gone", 1)
    assert not running(home, "meek")


def test_a_program_that_dies_is_started_again_and_that_is_said_once(home: Path) -> None:
    # Given a program that runs
    said: list[str] = []
    program = Program(name="worker", command=FOREVER)
    with Supervisor(home, [program], say=said.append) as supervisor:
        first = pid_of(supervisor, "worker")

        # When it is killed twice
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: supervisor.pid("worker") not in {None, first}, "it runs again")
        second = pid_of(supervisor, "worker")
        os.kill(second, signal.SIGKILL)
        wait_until(lambda: supervisor.pid("worker") not in {None, second}, "it runs again")

    # Then the first death was told, with its cause and the place to look at
    log = home / "log" / "worker.log"
    assert said == [f"worker stopped (killed by SIGKILL) and is started again; see {log}"]


def test_a_program_that_is_well_again_is_said_to_be(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.embedded.post.STEADY_SECONDS", 0.1)
    monkeypatch.chdir(home)
    said: list[str] = []
    # It fails the first time only.
    script = "test -e seen && exec sleep 1000; touch seen; exit 3"
    program = Program(name="worker", command=("sh", "-c", script))

    with Supervisor(home, [program], say=said.append):
        wait_until(lambda: len(said) == 2, "both changes were said")

    assert said[0].startswith("worker stopped (exit 3)")
    assert said[1] == "worker runs again"


def test_a_program_that_keeps_dying_is_started_ever_more_slowly(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    program = Program(name="worker", command=("sh", "-c", "date +%s.%N >> starts"))
    starts = home / "starts"

    with Supervisor(home, [program], say=lambda _: None):
        wait_until(
            lambda: starts.exists() and len(starts.read_text().splitlines()) >= 4, "four starts"
        )

    times = [float(line) for line in starts.read_text().splitlines()]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps[0] >= 0.1
    assert gaps[1] >= 0.2
    assert gaps[2] >= 0.4


def test_stopping_asks_all_and_kills_who_does_not_end(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    programs = [
        Program(name="meek", command=FOREVER),
        Program(name="stubborn", command=STUBBORN, is_ready=lambda: (home / "started").exists()),
    ]
    supervisor = Supervisor(home, programs, grace=timedelta(seconds=0.2), say=lambda _: None)
    with supervisor:
        supervisor.wait_until_ready(SOON)
        pids = [pid_of(supervisor, program.name) for program in programs]

    assert [is_alive(pid) for pid in pids] == [False, False]
    assert not running(home, "meek")
    assert not running(home, "stubborn")


def test_a_program_that_never_gets_ready_is_named(home: Path) -> None:
    program = Program(name="worker", command=FOREVER, is_ready=lambda: False)

    with (
        Supervisor(home, [program], say=lambda _: None) as supervisor,
        pytest.raises(PartUnavailable, match="worker does not get ready"),
    ):
        supervisor.wait_until_ready(timedelta(seconds=0.1))


def test_a_second_supervisor_stands_by_and_takes_over(home: Path) -> None:
    # Given two supervisors of one home, of which the first runs the program
    program = Program(name="worker", command=FOREVER)
    first = Supervisor(home, [program], say=lambda _: None)
    first.start()
    pid_of(first, "worker")
    with Supervisor(home, [program], say=lambda _: None) as second:
        assert second.pid("worker") is None

        # When the first is stopped
        first.stop()

        # Then the second runs it
        pid_of(second, "worker")
        assert running(home, "worker")
    assert not running(home, "worker")


#: Needs a while to be ready, and tells of its end.
SERVER = (
    "sh",
    "-c",
    "trap 'echo server ends >> events; exit' TERM; sleep 0.3; echo server >> events;"
    "touch ready; while true; do sleep 0.05; done",
)
#: Tells that it is there, and of its end.
CLIENT = (
    "sh",
    "-c",
    "trap 'echo client ends >> events; exit' TERM; echo client >> events;"
    "while true; do sleep 0.05; done",
)


def test_programs_start_and_stop_in_order_and_pass_on_together(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given two supervisors of a server and its client
    monkeypatch.chdir(home)
    (home / "events").touch()
    programs = [
        Program(name="server", command=SERVER, is_ready=(home / "ready").exists),
        Program(name="client", command=CLIENT, prepare=lambda: note("prepared")),
    ]

    def note(event: str) -> None:
        with (home / "events").open("a") as file:
            file.write(f"{event}\n")

    def told() -> list[str]:
        return (home / "events").read_text().splitlines()

    first = Supervisor(home, programs, say=lambda _: None)
    first.start()
    wait_until(lambda: "client" in told(), "both run")
    with Supervisor(home, programs, say=lambda _: None):
        # When the first ends, and the second has taken over
        (home / "ready").unlink()
        first.stop()
        wait_until(lambda: told().count("client") == 2, "both run again")

    # Then the client was never without its server, nor the second's server beside the first's
    life = ["server", "prepared", "client", "client ends", "server ends"]
    assert told() == life + life


def test_a_lock_has_one_owner_and_is_for_one_name_and_home(home: Path) -> None:
    owner, rival = Lock(home, "worker"), Lock(home, "worker")

    assert not running(home, "worker")
    assert owner.acquire()
    assert owner.acquire()
    assert not rival.acquire()
    assert running(home, "worker")
    assert Lock(home, "beat").acquire()
    assert not running(home / "other", "worker")

    owner.release()
    assert not running(home, "worker")
    assert rival.acquire()
    rival.release()


def test_the_embedded_redis_keeps_nothing_on_disk_and_drops_nothing(redis_home: Path) -> None:
    with Supervisor(redis_home, [redis_program(redis_home)], say=lambda _: None) as supervisor:
        supervisor.wait_until_ready(SOON)
        with redis.Redis.from_url(redis_url(redis_home)) as client:
            assert client.ping()
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            assert client.config_get("save") == {"save": ""}
            assert client.config_get("appendonly") == {"appendonly": "no"}
            assert client.config_get("port") == {"port": "0"}
            assert client.eval("return 6 * 7", 0) == 42
        assert socket_path(redis_home).stat().st_mode & 0o777 == 0o700

    assert not answers(socket_path(redis_home))


def test_the_embedded_redis_starts_over_a_socket_that_was_left_behind(redis_home: Path) -> None:
    path = socket_path(redis_home)
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.exists()

    with Supervisor(redis_home, [redis_program(redis_home)], say=lambda _: None) as supervisor:
        supervisor.wait_until_ready(SOON)
        assert answers(path)


def test_a_home_with_a_long_path_has_its_socket_elsewhere(redis_home: Path) -> None:
    home = redis_home / ("deep" * 30)

    with Supervisor(home, [redis_program(home)], say=lambda _: None) as supervisor:
        supervisor.wait_until_ready(SOON)
        with redis.Redis.from_url(redis_url(home)) as client:
            assert client.ping()
        folder = socket_path(home).parent
        assert folder.stat().st_mode & 0o777 == 0o700

    folder.rmdir()


def test_a_folder_that_others_may_enter_holds_no_socket(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(home))
    deep = home / ("deep" * 30)
    socket_path(deep).parent.chmod(0o755)

    with pytest.raises(PartUnavailable, match="not a private folder"):
        socket_path(deep)
