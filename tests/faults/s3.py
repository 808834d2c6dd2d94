"""Moto's S3, for all rigs of a run."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.process import Process, python
from tests.faults.waiting import until
from tests.servers import accepts_http, free_port


@contextmanager
def moto_server(folder: Path) -> Iterator[str]:
    """Serve; gives the address."""
    port = free_port()
    command = python("-m", "moto.server", "-H", "127.0.0.1", "-p", str(port))
    server = Process("moto", command, folder=folder, environment={})
    server.start()
    try:
        address = f"http://127.0.0.1:{port}"
        until(lambda: accepts_http(address), "moto answers", 60)
        yield address
    finally:
        server.kill()
