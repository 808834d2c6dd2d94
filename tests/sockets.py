"""A TCP server that follows a script: what a real network does to a request, byte by byte."""

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event, Thread

#: Nothing in a test takes so long.
PATIENCE_SECONDS = 20.0
#: The system keeps no more than about so much of what nobody reads, so that a sender notices.
SMALL_BUFFER = 16 * 1024


class Caller:
    """One accepted connection."""

    def __init__(self, connection: socket.socket, server: "Server") -> None:
        self._connection = connection
        self._server = server
        self._unread = b""

    def read_head(self) -> str:
        """Read up to the end of the headers; they are written down as a request."""
        while b"\r\n\r\n" not in self._unread:
            self._unread += self._receive()
        head, _, self._unread = self._unread.partition(b"\r\n\r\n")
        self._server.requests.append(head.decode("latin-1"))
        return self._server.requests[-1]

    def read_request(self) -> str:
        """Read headers and the announced body."""
        head = self.read_head()
        size = int(header(head, "content-length") or 0)
        while len(self._unread) < size:
            self._unread += self._receive()
        self._unread = self._unread[size:]
        return head

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._connection.sendall(data)

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Send a whole answer."""
        self.send(head_of(status, {"content-length": str(len(body)), **headers}) + body)

    def reset(self) -> None:
        """Break the connection off: the other side gets a RST."""
        linger = struct.pack("ii", 1, 0)
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._connection.close()

    def hold(self) -> None:
        """Say nothing more until the test is over."""
        self._server.over.wait(PATIENCE_SECONDS)

    def is_over(self, within_seconds: float) -> bool:
        """Whether the test ended, or ends so soon."""
        return self._server.over.wait(within_seconds)

    def _receive(self) -> bytes:
        data = self._connection.recv(SMALL_BUFFER)
        if not data:
            raise ConnectionError("the caller is gone")
        return data


Script = Callable[[Caller], None]


@dataclass
class Server:
    """What the server did so far."""

    port: int
    #: Connections that were accepted.
    accepted: int = 0
    #: The heads of all requests.
    requests: list[str] = field(default_factory=list)
    #: Set at the end of the test.
    over: Event = field(default_factory=Event)

    @property
    def address(self) -> str:
        """Its address for an HTTP client."""
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def scripted(script: Script) -> Iterator[Server]:
    """Run a server that follows `script` on each connection, which it then closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # Before `listen` takes a connection: it inherits the size.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        server = Server(port=listener.getsockname()[1])
        thread = Thread(target=serve, args=(listener, server, script), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            # Wakes the thread out of its `accept`.
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join(PATIENCE_SECONDS)


def serve(listener: socket.socket, server: Server, script: Script) -> None:
    """Accept until the end; each connection has a thread of its own."""
    with ExitStack() as stack:
        while not server.over.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            server.accepted += 1
            thread = Thread(target=follow, args=(connection, server, script), daemon=True)
            thread.start()
            stack.callback(thread.join, PATIENCE_SECONDS)
            stack.callback(hang_up, connection)


def follow(connection: socket.socket, server: Server, script: Script) -> None:
    """Follow the script on one connection; a caller who leaves ends it."""
    connection.settimeout(PATIENCE_SECONDS)
    with connection, suppress(OSError):
        script(Caller(connection, server))


def hang_up(connection: socket.socket) -> None:
    """Wake a script that waits for its caller; the connection may be closed already."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def head_of(status: int, headers: dict[str, str]) -> bytes:
    """The head of an answer."""
    lines = [f"HTTP/1.1 {status} Scripted"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def header(head: str, name: str) -> str | None:
    """A header of a request."""
    for line in head.split("\r\n")[1:]:
        found, _, value = line.partition(":")
        if found.lower() == name:
            return value.strip()
    return None
