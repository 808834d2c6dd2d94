"""One program's place in a home: who runs it, how it does, and when it may start again.

Each program has a lock in its home. Whoever has the lock runs the program; another supervisor
of the same home stands by, and takes over as soon as the first is gone.
"""

import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jobs.embedded.child import start_child
from jobs.embedded.lock import Lock

#: The delay before a restart doubles from the first to the last.
FIRST_DELAY_SECONDS = 0.1
LAST_DELAY_SECONDS = 5.0
#: Who ran so long is taken for well again.
STEADY_SECONDS = 10.0


def always() -> bool:
    """Ready as soon as it runs."""
    return True


def nothing() -> None:
    """Needs no preparation."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to run, under which name, what to do before, and how to see that it is ready."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[], None] = nothing
    is_ready: Callable[[], bool] = always


class Post:
    """A program, its lock, its process if it is ours, and what must be ready before it starts."""

    def __init__(
        self, program: Program, home: Path, say: Callable[[str], None], needs: Sequence[Program]
    ) -> None:
        self.program = program
        self._needs = needs
        self.log = home / "log" / f"{program.name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._lock = Lock(home, program.name)
        self._say = say
        self._delay = FIRST_DELAY_SECONDS
        self._started_at = 0.0
        self._due_at = 0.0
        self._is_ailing = False

    def look(self) -> None:
        """Start the program if it is our turn, and take note of its death or recovery."""
        now = time.monotonic()
        if self.process is None:
            if now >= self._due_at and self._lock.acquire() and self._has_its_needs():
                self._start(now)
        elif self.process.poll() is not None:
            returncode, self.process = self.process.returncode, None
            self._try_later(f"stopped ({ending(returncode)})", now)
        elif self._is_ailing and now - self._started_at > STEADY_SECONDS:
            self._is_ailing, self._delay = False, FIRST_DELAY_SECONDS
            self._say(f"{self.program.name} runs again")

    def release(self) -> None:
        """Let another supervisor run it."""
        self._lock.release()

    def _has_its_needs(self) -> bool:
        return all(program.is_ready() for program in self._needs)

    def _start(self, now: float) -> None:
        self.program.prepare()
        try:
            self.process = start_child(
                self.program.command, log=self.log, environment=self.program.environment
            )
        except OSError as error:
            self._try_later(f"did not start ({error.strerror})", now)
        self._started_at = now

    def _try_later(self, event: str, now: float) -> None:
        """Put the next start off, and say so if that is news."""
        self._due_at = now + self._delay
        self._delay = min(self._delay * 2, LAST_DELAY_SECONDS)
        if not self._is_ailing:
            self._is_ailing = True
            self._say(f"{self.program.name} {event} and is started again; see {self.log}")


def ending(returncode: int) -> str:
    """How a process ended, in words."""
    if returncode >= 0:
        return f"exit {returncode}"
    return f"killed by {signal.Signals(-returncode).name}"
