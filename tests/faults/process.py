"""A process of a rig: started, hurt and ended by its own pid."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from jobs.embedded.child import leashed, stop_child

GRACE = timedelta(seconds=10)
#: The tree that is tested: this one, or a copy of it that was broken on purpose.
ROOT = Path(__file__).parents[2]


class Process:
    """One program with its own environment and log; it may be started again after its end."""

    def __init__(
        self, name: str, command: Sequence[str], *, folder: Path, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self.environment = dict(environment)
        self.is_wanted = False
        self._command = tuple(command)
        self._folder = folder
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run it; it ends with this process, and with the thread that calls this."""
        with self.log.open("ab") as output:
            self._child = subprocess.Popen(
                leashed(self._command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self._folder,
                env={**plain_environment(), **self.environment},
            )
        # Last: whoever watches would take it for dead, and start it a second time.
        self.is_wanted = True

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._child is not None
        return self._child.pid

    @property
    def returncode(self) -> int | None:
        """How it ended; None while it runs, and before it did."""
        return None if self._child is None else self._child.poll()

    @property
    def is_running(self) -> bool:
        """Whether it runs, or is stopped by a signal."""
        return self._child is not None and self._child.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if self.is_running:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it as `kill -9` does, with what it started."""
        if self._child is not None and self._child.poll() is None:
            with suppress(ProcessLookupError):
                # It has a session of its own, so its group holds nobody else.
                os.killpg(self.pid, signal.SIGKILL)
            self._child.wait()

    def freeze(self) -> None:
        """Stop it in the middle of whatever it does."""
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.send(signal.SIGCONT)

    def stop(self) -> None:
        """Ask it to end, and see that it does."""
        self.is_wanted = False
        if self._child is not None and self._child.poll() is None:
            self.thaw()
            stop_child(self._child, grace=GRACE)


def plain_environment() -> dict[str, str]:
    """What every program needs, and no setting of whoever runs the suite."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def python(*arguments: str) -> tuple[str, ...]:
    """A command for this interpreter."""
    return (sys.executable, *arguments)
