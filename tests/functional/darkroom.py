"""The command line as a person has it: a process in a folder and an environment of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from jobs.settings import Settings, read_settings
from tests.functional import processes
from tests.integration.sandbox.caller import Caller
from tests.servers import wait_until

REPOSITORY = Path(__file__).parents[2]

#: Long enough for a slow machine; a test that waits so long has failed.
DEADLINE_SECONDS = 100


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What was said on stdout, as JSON."""
        return json.loads(self.out)

    @property
    def complaints(self) -> list[str]:
        """What was said on stderr, line by line."""
        return self.err.splitlines()


@dataclass(frozen=True)
class Begun:
    """A command that runs."""

    child: subprocess.Popen[str]

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.child.send_signal(signal.SIGINT)

    def terminate(self) -> None:
        """SIGTERM, as a service's end."""
        self.child.terminate()

    def kill(self) -> None:
        """`kill -9` of the whole process group."""
        os.killpg(self.child.pid, signal.SIGKILL)

    def wait_until(
        self, condition: Callable[[], bool], what: str, seconds: float = DEADLINE_SECONDS
    ) -> None:
        """Wait for a condition; fails, with what was said, if the command ends without it."""
        wait_until(lambda: self.child.poll() is not None or condition(), what, seconds)
        assert condition(), self.end()

    def end(self, seconds: float = DEADLINE_SECONDS) -> Ended:
        """Wait for its end."""
        out, err = self.child.communicate(timeout=seconds)
        return Ended(self.child.returncode, out, err)

    def kill_worker(self) -> None:
        """`kill -9` of the worker that it started."""
        os.kill(self.worker(), signal.SIGKILL)

    def worker(self) -> int:
        """The process id of the worker that it started."""
        self.wait_until(lambda: bool(self.workers()), "the worker is there")
        return self.workers()[0]

    def workers(self) -> list[int]:
        """Those that it started and that run."""
        return [
            pid
            for pid in processes.children(self.child.pid)
            if processes.command(pid)[1:4] == ["-m", "jobs", "worker"]
        ]


@dataclass(frozen=True)
class Darkroom:
    """One user: a folder, and settings."""

    folder: Path
    settings: Mapping[str, str]

    def having(self, **settings: str) -> "Darkroom":
        """The same folder with more settings."""
        return replace(self, settings={**self.settings, **settings})

    def asking(self, api: Caller) -> "Darkroom":
        """The same with that sandbox as the API.

        Its window is a second: a limiter that knows of no history waits for one.
        """
        return self.having(
            STABILITY_API_KEY=api.key, STABILITY_API_HOST=api.address, DARKROOM_RATE="12/1s"
        )

    def run(self, *arguments: object, seconds: float = DEADLINE_SECONDS) -> Ended:
        """Run a command to its end."""
        with self.running(*arguments) as begun:
            return begun.end(seconds)

    @contextmanager
    def running(self, *arguments: object) -> Iterator[Begun]:
        """Run a command beside the block, and no longer than that."""
        child = subprocess.Popen(
            [sys.executable, "-m", "jobs", *map(str, arguments)],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        begun = Begun(child)
        try:
            yield begun
        finally:
            if child.returncode is None:
                begun.kill()
                begun.end()

    @property
    def environment(self) -> dict[str, str]:
        """All that a command finds in its environment."""
        own = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return {**own, "HOME": str(self.folder), "PYTHONPATH": str(REPOSITORY), **self.settings}

    @property
    def home(self) -> Path:
        """Where it keeps what it keeps."""
        return self.folder / ".darkroom"

    @cached_property
    def as_settings(self) -> Settings:
        """The settings as the program itself reads them."""
        told = {name.lower(): value for name, value in self.settings.items()}
        known = {name: value for name, value in told.items() if name in Settings.model_fields}
        return read_settings(**{"darkroom_home": self.home, **known})

    def jobs(self, *options: object) -> list[dict[str, Any]]:
        """What `darkroom jobs` lists."""
        ended = self.run("jobs", "--limit", 1000, "--json", *options)
        assert ended.code == 0, ended
        listed: list[dict[str, Any]] = ended.json
        return listed

    def batch(self, name: str) -> dict[str, Any]:
        """What `darkroom batches show` shows."""
        ended = self.run("batches", "show", name, "--json")
        assert ended.code == 0, ended
        shown: dict[str, Any] = ended.json
        return shown
