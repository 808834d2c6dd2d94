"""The application on a socket, in a thread of this process, and a caller of it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Thread
from typing import Any

import requests
import uvicorn

from api.app import create_app
from api.server import Server
from jobs.settings import Settings
from tests.servers import free_port, wait_until

#: A request that takes longer hangs.
SECONDS = 30


@dataclass(frozen=True)
class Client:
    """A caller with certain headers."""

    address: str
    app: Any
    headers: dict[str, str] = field(default_factory=dict)

    def with_key(self, key: str) -> "Client":
        return replace(self, headers={"authorization": f"Bearer {key}"})

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.call("GET", path, **options)

    def post(self, path: str, **options: Any) -> requests.Response:
        return self.call("POST", path, **options)

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = {**self.headers, **options.pop("headers", {})}
        options = {"timeout": SECONDS, "allow_redirects": False, **options}
        return requests.request(method, self.address + path, headers=headers, **options)


class PromptServer(Server):
    """Looks oftener whether it is to end: hundreds of tests wait for that."""

    async def main_loop(self) -> None:
        await self.on_tick(0)
        while not self.should_exit:
            await asyncio.sleep(0.01)


@contextmanager
def served(settings: Settings) -> Iterator[Client]:
    """A caller without a key; the server stops in peace at the end."""
    app = create_app(settings)
    port = free_port()
    config = uvicorn.Config(
        app, port=port, log_config=None, access_log=False, server_header=False, ws="none"
    )
    server = PromptServer(config, app)
    thread = Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive(), "the application listens")
        yield Client(f"http://127.0.0.1:{port}", app)
    finally:
        server.should_exit = True
        thread.join()
