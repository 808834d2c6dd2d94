"""The HTTP client: one request a call, never repeated, redirected or proxied below us."""

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import local
from typing import Any
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar
from requests.structures import CaseInsensitiveDict
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from jobs.catalog.operation import ANY_RESULT, Operation
from jobs.sessions import Session
from jobs.stability.form import Body

#: Seconds to connect in; then seconds between two bytes of the answer.
CONNECT_SECONDS = 5.0
POLL_SECONDS = 30.0
#: Servers close connections that are silent for some seconds; this one is not waited for.
LINE_SECONDS = 4.0
CHUNK = 64 * 1024
#: An answer that is not media is read up to here.
SHORT = 64 * 1024


class Line(local):
    """The connection that this thread has opened for its next paid call."""

    connection: HTTPConnection | None = None
    opened_at = 0.0

    def hold(self, connection: HTTPConnection) -> None:
        """Keep it for the call."""
        self.drop()
        self.connection, self.opened_at = connection, time.monotonic()

    def take(self) -> HTTPConnection | None:
        """Give it away, if it is young and nobody has closed it."""
        connection, self.connection = self.connection, None
        if connection is None:
            return None
        if time.monotonic() - self.opened_at <= LINE_SECONDS and is_silent(connection):
            return connection
        connection.close()
        return None

    def drop(self) -> None:
        """Close what was not used."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def is_silent(connection: HTTPConnection) -> bool:
    """Whether the other side still listens: it has said nothing, and has not hung up.

    It is really read: over TLS 1.3 a new connection has session tickets for us, which are no sign
    of an end.
    """
    sock: Any = connection.sock
    sock.settimeout(0)
    try:
        sock.recv(1)
    except (BlockingIOError, ssl.SSLWantReadError):
        sock.settimeout(CONNECT_SECONDS)
        return True
    except OSError:
        return False
    return False


LINE = Line()


class FreshHTTPPool(HTTPConnectionPool):
    """Uses a connection for one request: a stale one looks just like a lost answer."""

    def _get_conn(self, timeout: float | None = None) -> Any:
        return LINE.take() or self._new_conn()

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            conn.close()


class FreshHTTPSPool(FreshHTTPPool, HTTPSConnectionPool):
    """The same over TLS."""


class FreshAdapter(HTTPAdapter):
    """The adapter of paid calls."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Give every host a pool that keeps nothing."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": FreshHTTPPool, "https": FreshHTTPSPool}


class NoCookies(RequestsCookieJar):
    """Keeps nothing: calls must not depend on one another."""

    def set_cookie(self, cookie: Any, *args: Any, **kwargs: Any) -> None:
        """Forget it."""


class StabilityClient:
    """Talks to one host; safe to share between threads."""

    def __init__(self, host: str, *, answer_seconds: float = 180.0, connections: int = 32) -> None:
        self._host = host.rstrip("/")
        self._root = requests.Request("POST", f"{self._host}/").prepare()
        self._answer_seconds = answer_seconds
        self._paid = make_session(FreshAdapter(max_retries=0))
        self._free = make_session(
            HTTPAdapter(max_retries=0, pool_connections=2, pool_maxsize=connections)
        )

    @contextmanager
    def line(self) -> Iterator[float]:
        """Connect for this thread's next paid call; gives the seconds that it took.

        So only the request itself travels in its time slot. Raises what requests raises.
        """
        begun_at = time.monotonic()
        adapter: Any = self._paid.get_adapter(self._host)
        with told_by_requests():
            pool = adapter.get_connection_with_tls_context(self._root, verify=True)
            # As requests does before each call: a pool that was never sent with trusts others.
            adapter.cert_verify(pool, self._host, verify=True, cert=None)
            connection = pool._new_conn()
            connection.timeout = CONNECT_SECONDS
            try:
                connection.connect()
            except BaseException:
                connection.close()
                raise
        LINE.hold(connection)
        try:
            yield time.monotonic() - begun_at
        finally:
            LINE.drop()

    @contextmanager
    def create(
        self, operation: Operation, path: str, body: Body, *, key: str, attempt_id: str
    ) -> Iterator[requests.Response]:
        """Make the paid call; the answer's body is not read yet. Raises what requests raises."""
        headers = {
            "authorization": f"Bearer {key}",
            "accept": accept_create(operation),
            "content-type": body.content_type,
            "content-length": str(len(body)),
            "connection": "close",
            "stability-client-id": "darkroom",
            "stability-client-user-id": attempt_id,
        }
        request = requests.PreparedRequest()
        request.method, request.url = "POST", self._host + path
        request.headers = CaseInsensitiveDict(headers)
        request.prepare_cookies(NoCookies())
        # It is read like a file; requests' own preparation would only measure it again.
        request.body = body  # type: ignore[assignment]
        with told_by_requests():
            response = self._paid.send(
                request,
                timeout=(CONNECT_SECONDS, self._answer_seconds),
                stream=True,
                allow_redirects=False,
            )
        with response:
            yield response

    @contextmanager
    def poll(
        self, operation: Operation, result_id: str, *, key: str, polls: int = 0
    ) -> Iterator[requests.Response]:
        """Ask for a result, after so many polls of it; the answer's body is not read yet.

        Raises what requests raises.
        """
        path = operation.result_address(polls)
        accept = accept_poll(operation, path)
        with told_by_requests():
            response = self._free.get(
                self._host + path.format(id=quote(result_id, safe="")),
                headers={"authorization": f"Bearer {key}", "accept": accept},
                timeout=(CONNECT_SECONDS, POLL_SECONDS),
                stream=True,
                allow_redirects=False,
            )
        with response:
            yield response

    def balance(self, *, key: str) -> requests.Response:
        """Ask for the credits left."""
        with told_by_requests():
            return self._free.get(
                self._host + "/v1/user/balance",
                headers={"authorization": f"Bearer {key}"},
                timeout=(CONNECT_SECONDS, POLL_SECONDS),
                allow_redirects=False,
            )


@contextmanager
def told_by_requests() -> Iterator[None]:
    """Let what urllib3 and the system raise past requests be an error of requests too.

    A handshake that fails outside of requests raises the bare `ssl.SSLError` or `OSError`.
    """
    try:
        yield
    except requests.RequestException:
        raise
    except (HTTPError, OSError) as error:
        raise requests.RequestException(type(error).__name__) from error


def make_session(adapter: HTTPAdapter) -> Session:
    """A session that keeps no cookies."""
    session = Session()
    session.cookies = NoCookies()
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


def accept_create(operation: Operation) -> str:
    """What the create is asked to answer with."""
    if operation.accept is not None:
        return operation.accept
    if operation.is_v1 or operation.mode == "async":
        return "application/json"
    return "image/*" if operation.media == "image" else "*/*"


def accept_poll(operation: Operation, path: str) -> str:
    """What a poll of this address is asked to answer with: each takes JSON, and one thing else.

    The common address takes any media by one name, the others only their own, so that JSON is all
    that is taken where nobody knows the media.
    """
    if path == ANY_RESULT:
        return "*/*"
    return "application/json" if operation.media == "any" else f"{operation.media}/*"


class Arrival:
    """The body of an answer, read once; its start may be looked at before."""

    def __init__(self, response: requests.Response) -> None:
        self._coming = response.iter_content(CHUNK)
        self._start = b""

    def look(self) -> bytes:
        """As much of it as tells what it is, unless it is media. Raises what requests raises."""
        read = bytearray()
        for chunk in self._coming:
            read += chunk
            if len(read) >= SHORT:
                break
        self._start = bytes(read)
        return self._start[:SHORT]

    def __iter__(self) -> Iterator[bytes]:
        """The whole of it. Raises what requests raises."""
        if self._start:
            yield self._start
        yield from self._coming
