"""The supervisor: starts programs as children, starts them again when they die, stops them."""

import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Self

from jobs.embedded.child import stop_child
from jobs.embedded.post import Post, Program
from jobs.errors import PartUnavailable

#: How often the children are looked at; a look costs a few microseconds each.
LOOK_SECONDS = 0.05


class Supervisor:
    """Runs programs in a home until it is stopped.

    Each starts when those before it are ready, and stops before they do, with so much grace. Their
    locks are free only then: whoever takes over finds nothing that is about to end. `say` gets one
    line when a program dies and one when it is well again.
    """

    def __init__(
        self,
        home: Path,
        programs: Iterable[Program],
        *,
        grace: timedelta = timedelta(seconds=5),
        say: Callable[[str], None],
    ) -> None:
        programs = list(programs)
        self._posts = [
            Post(program, home, say, needs=programs[:n]) for n, program in enumerate(programs)
        ]
        self._grace = grace
        self._stopping = Event()
        # Children die with the thread that started them, so one thread does it from first to last.
        self._thread = Thread(target=self._run, name="supervisor", daemon=True)

    def start(self) -> None:
        """Begin, without waiting for anything."""
        self._thread.start()

    def wait_until_ready(self, timeout: timedelta) -> None:
        """Wait for every program, ours or another supervisor's; else raises PartUnavailable."""
        deadline = time.monotonic() + timeout.total_seconds()
        for post in self._posts:
            while not post.program.is_ready():
                if time.monotonic() > deadline:
                    raise PartUnavailable(f"{post.program.name} does not get ready; see {post.log}")
                self._stopping.wait(LOOK_SECONDS)

    def pid(self, name: str) -> int | None:
        """The process id of a program, or None when it does not run here."""
        processes = {post.program.name: post.process for post in self._posts}
        process = processes[name]
        return process.pid if process else None

    def stop(self) -> None:
        """Ask one after the other to end, and end it when its grace time is over."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _run(self) -> None:
        while not self._stopping.is_set():
            for post in self._posts:
                post.look()
            self._stopping.wait(LOOK_SECONDS)
        self._stop_all()

    def _stop_all(self) -> None:
        for post in reversed(self._posts):
            if post.process is not None:
                stop_child(post.process, grace=self._grace)
        for post in self._posts:
            post.release()
