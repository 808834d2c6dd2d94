"""A child process that cannot outlive its parent, and whose output goes to a log file."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

LEASH = Path(__file__).with_name("leash.py")

#: A log that is larger when its process starts is set aside first, once.
LOG_BYTES = 10 << 20


def start_child(
    command: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own, so that Ctrl-C reaches only its parent.

    On Linux it is killed when the *thread* that called this ends, however that comes about:
    call from one that lives as long as the child should. `environment` adds to ours.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".old.log"))
    with log.open("ab") as output:
        return subprocess.Popen(
            leashed(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )


def leashed(command: Sequence[str]) -> list[str]:
    """The command, on a leash that this process holds."""
    return [sys.executable, "-I", "-S", str(LEASH), str(os.getpid()), *command]


def stop_child(process: subprocess.Popen[bytes], *, grace: timedelta) -> None:
    """Ask it to end (SIGTERM), wait, and end it and its own children (SIGKILL) if it does not."""
    process.terminate()
    try:
        process.wait(grace.total_seconds())
    except subprocess.TimeoutExpired:
        kill_child(process)


def kill_child(process: subprocess.Popen[bytes]) -> None:
    """End it and what it started, at once."""
    if process.poll() is None:
        # Its session's processes are a group under its own id, so this can hit nobody else.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
