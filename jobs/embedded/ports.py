"""Ports of this machine: which are free, who answers on one, and which one a home keeps."""

import fcntl
import socket
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from jobs.embedded.lock import running
from jobs.errors import PartUnavailable

ANSWER_SECONDS = 1.0
#: Where a server that listens everywhere is asked.
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def check_free(host: str, port: int) -> None:
    """Raise PartUnavailable, in a sentence, if nobody can listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family):
            return
    except OSError as error:
        why = error.strerror or str(error)
        raise PartUnavailable(f"nothing can listen on {origin(host, port)}: {why}") from error


def origin(host: str, port: int) -> str:
    """The address for people and clients."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def shared_port(home: Path, name: str) -> int:
    """The port of the loopback on which `name` runs in this home, whoever runs it.

    It is written down, so that those who stand by wait for the same one.
    """
    path = home / "run" / f"{name}.port"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("a+") as file:
        # Freed when the file is closed: two who start at once choose one after the other.
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        port = int(file.read() or 0)
        if port and (running(home, name) or is_free(port)):
            return port
        port = free_port()
        file.truncate(0)
        file.write(str(port))
        return port


def is_free(port: int) -> bool:
    """Whether nobody has that port of the loopback."""
    try:
        check_free("127.0.0.1", port)
    except PartUnavailable:
        return False
    return True


def free_port() -> int:
    """A port of the loopback that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def answers(port: int) -> bool:
    """Whether somebody listens on that port of the loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def is_healthy(host: str, port: int) -> bool:
    """Whether a server with our `/healthz` answers there."""
    connection = HTTPConnection(EVERYWHERE.get(host, host), port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().read(64) == b'{"status":"ok"}'
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
