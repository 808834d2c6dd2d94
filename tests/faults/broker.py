"""A Redis-compatible server with nothing on disk: what it knew is gone when it dies."""

from pathlib import Path

import redis

from jobs.embedded.redis import server_binary
from tests.faults.process import Process
from tests.faults.waiting import until
from tests.servers import free_port


class Broker(Process):
    """Valkey on a port of its own."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._dump = folder / "broker.rdb"
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "save": "",
            "dir": str(folder),
            "dbfilename": self._dump.name,
            # So that a text in it can be found.
            "rdbcompression": "no",
            "maxmemory-policy": "noeviction",
        }
        command = [
            server_binary(),
            *(part for o in options.items() for part in (f"--{o[0]}", o[1])),
        ]
        super().__init__("broker", command, folder=folder, environment={})

    def start(self) -> None:
        """Run it, empty, and wait until it answers."""
        self._dump.unlink(missing_ok=True)
        super().start()
        until(self.answers, "Redis answers", 30)

    def answers(self) -> bool:
        """Whether it takes commands."""
        try:
            with redis.Redis(port=self.port, socket_timeout=1) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def flush(self) -> None:
        """Forget everything at once."""
        with redis.Redis(port=self.port, socket_timeout=5) as client:
            client.flushall()

    def dump(self) -> bytes:
        """All that it holds now."""
        with redis.Redis(port=self.port, socket_timeout=5) as client:
            client.save()
        return self._dump.read_bytes()
