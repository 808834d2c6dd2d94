"""Wakes the dispatcher after a commit, off the request's path: many requests need one nudge."""

from threading import Event, Thread

import redis

from jobs.nudge import nudge


class Nudger:
    """A thread that nudges when it is told to; a Redis that hangs delays nobody else."""

    def __init__(self, client: "redis.Redis") -> None:
        self._client = client
        self._wanted = Event()
        self._is_closed = False
        self._thread = Thread(target=self._run, name="nudger", daemon=True)
        self._thread.start()

    def nudge(self) -> None:
        """Have the dispatcher look soon."""
        self._wanted.set()

    def close(self) -> None:
        """Nudge for what was asked for, and end."""
        self._is_closed = True
        self._wanted.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_closed:
            self._wanted.wait()
            self._wanted.clear()
            nudge(self._client)
