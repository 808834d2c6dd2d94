"""How a sandbox ends, and what it knows when it comes back."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import requests

from tests.integration.sandbox.caller import DEADLINE_SECONDS, REPOSITORY, Caller, running, wait_for


def test_a_killed_sandbox_knows_what_was_paid_when_it_comes_back(tmp_path: Path) -> None:
    with running("--state", str(tmp_path)) as before:
        result_id = before.start_video()
        before.core()
        shown = before.get(f"/v2beta/results/{result_id}").content
        charges = before.ledger()["charges"]
        before.process.send_signal(signal.SIGKILL)
        before.process.wait(DEADLINE_SECONDS)

    with running("--state", str(tmp_path)) as fresh:
        after = fresh.with_key(before.key)

        assert after.get(f"/v2beta/results/{result_id}").content == shown
        assert after.ledger()["charges"] == charges
        assert after.get("/v1/user/balance").json() == {"credits": 10_000 - 20 - 3}


def test_a_term_signal_ends_the_sandbox_at_once_whatever_is_in_flight(
    start: Callable[..., Caller],
) -> None:
    api = start("--fault", "hang=1")
    outcome: list[str] = []

    def hang() -> None:
        try:
            api.core()
        except requests.ConnectionError as error:
            outcome.append(type(error).__name__)

    caller = Thread(target=hang)
    caller.start()
    wait_for(lambda: api.get("/_sandbox/ledger").json()["in_flight"] == 1)
    since = time.monotonic()
    api.process.terminate()

    assert api.process.wait(DEADLINE_SECONDS) == 0
    assert time.monotonic() - since < 2
    caller.join(DEADLINE_SECONDS)
    assert outcome == ["ConnectionError"]


def test_a_port_in_use_is_told_in_one_line(start: Callable[..., Caller]) -> None:
    port = start().address.rpartition(":")[2]

    command = [sys.executable, "-m", "jobs.stability.sandbox", "--port", port]
    second = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)

    assert second.returncode == 1
    assert second.stderr.startswith("the sandbox cannot start: ")
    assert second.stderr.count("\n") == 1


def test_emptying_the_ledger_leaves_the_balance(api: Caller) -> None:
    api.core()

    requests.delete(api.address + "/_sandbox/ledger", timeout=DEADLINE_SECONDS)

    assert api.ledger()["charges"] == []
    assert api.get("/v1/user/balance").json() == {"credits": 9_997.0}
