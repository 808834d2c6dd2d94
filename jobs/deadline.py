"""A time by which a request is over, whatever the other side does."""

import socket
import time
from contextlib import suppress
from functools import partial
from threading import Lock, Timer
from types import TracebackType
from typing import Any, Self

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from jobs.errors import Unreachable


class Deadline:
    """Breaks off every connection that it saw once the time is up.

    A socket's timeout counts from the last byte: a host that sends one now and then could hold a
    thread for ever.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ends_at = time.monotonic() + seconds
        self._timer = Timer(seconds, self._break_off)
        self._timer.daemon = True
        self._lock = Lock()
        self._is_over = False
        self._connections: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()

    def watch(self, connection: socket.socket) -> None:
        """Break this connection off as well."""
        with self._lock:
            self._connections.append(connection)
            if self._is_over:
                shut(connection)

    def check(self) -> None:
        """Raise Unreachable when the time is up: a broken connection looks like a body's end."""
        if self._is_over or time.monotonic() >= self._ends_at:
            raise Unreachable(f"the host took longer than {self._seconds:g} s")

    def _break_off(self) -> None:
        with self._lock:
            self._is_over = True
            for connection in self._connections:
                shut(connection)


def shut(connection: socket.socket) -> None:
    """End a connection under whoever reads from it, without a word of TLS."""
    with suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


class WatchedConnection(HTTPConnection):
    """A connection that a deadline can break off."""

    def __init__(self, deadline: Deadline, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline = deadline

    def connect(self) -> None:
        """Connect, and be watched from then on."""
        super().connect()
        self._deadline.watch(self.sock)


class WatchedTlsConnection(WatchedConnection, HTTPSConnection):
    """The same over TLS; the handshake ends with the time for connecting."""


class WatchedAdapter(HTTPAdapter):
    """An adapter for one request, all of whose connections the deadline watches."""

    deadline: Deadline

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> Any:
        """The pool as it would be, with connections that are watched."""
        pool: Any = super().get_connection_with_tls_context(request, *args, **kwargs)
        kind = WatchedTlsConnection if pool.scheme == "https" else WatchedConnection
        pool.ConnectionCls = partial(kind, self.deadline)
        return pool
