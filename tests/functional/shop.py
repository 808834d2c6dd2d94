"""The HTTP interface as a user has it: a process, a worker beside it, and a project's key."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import requests

from tests.functional.darkroom import Begun, Darkroom


@dataclass(frozen=True)
class Shop:
    """An installation, and a key of a project of it."""

    darkroom: Darkroom
    process: Begun
    address: str
    key: str

    def call(self, method: str, path: str, **options: object) -> requests.Response:
        headers = {"authorization": f"Bearer {self.key}"}
        return requests.request(method, self.address + path, headers=headers, timeout=90, **options)

    @contextmanager
    def working(self) -> Iterator[None]:
        """A worker that dispatches."""
        with self.darkroom.running("worker", "--beat"):
            yield


@contextmanager
def open_shop(user: Darkroom) -> Iterator[Shop]:
    """The interface and a worker."""
    with open_counter(user) as shop, shop.working():
        yield shop


@contextmanager
def open_counter(user: Darkroom) -> Iterator[Shop]:
    """The interface alone: jobs come in, and nobody works on them."""
    key = user.run("keys", "create", "--project", "shop", "--json").json["key"]
    with user.running("api", "--port", 0) as process:
        assert process.child.stdout is not None
        address = process.child.stdout.readline().rpartition(" ")[2].strip()
        yield Shop(user, process, address, key)
