"""The workers and beats of a rig, and the supervisor that starts again whoever dies."""

import random
from collections.abc import Mapping
from pathlib import Path
from threading import Event, Lock, Thread

from tests.faults.process import Process, python

LOOK_SECONDS = 0.1


class Crew:
    """Starts workers and beats, and keeps their number until it is dismissed."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        self._members: list[Process] = []
        self._lock = Lock()
        self._ended = Event()
        self._thread = Thread(target=self._watch, name="crew", daemon=True)
        self.deaths = 0

    def __enter__(self) -> "Crew":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        for member in self._members:
            member.is_wanted = False
        for member in self._members:
            member.kill()

    def hire(self, program: str, **environment: str) -> Process:
        """Add a `worker` or a `beat` with settings of its own."""
        with self._lock:
            number = sum(member.name.startswith(program) for member in self._members) + 1
            member = Process(
                f"{program}-{number}",
                python("-m", "jobs", program),
                folder=self._folder,
                environment={**self._environment, **environment},
            )
            self._members.append(member)
        member.start()
        return member

    @property
    def workers(self) -> list[Process]:
        """The workers, dead or alive."""
        return [member for member in self._members if member.name.startswith("worker")]

    @property
    def beats(self) -> list[Process]:
        """The beats, dead or alive."""
        return [member for member in self._members if member.name.startswith("beat")]

    def kill_one(self, chance: random.Random) -> None:
        """`kill -9` one worker of those that run."""
        running = [worker for worker in self.workers if worker.is_running]
        if running:
            chance.choice(running).kill()

    def owner_of(self, lease_owner: str) -> Process | None:
        """The worker that a lease names."""
        pid = int(lease_owner.rsplit(":", 3)[2])
        return next((w for w in self.workers if w.is_running and w.pid == pid), None)

    def thaw(self) -> None:
        """Let everybody go on who was stopped by a signal."""
        for member in self._members:
            member.thaw()

    def _watch(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            with self._lock:
                members = list(self._members)
            for member in members:
                if member.is_wanted and not member.is_running:
                    self.deaths += 1
                    member.start()
