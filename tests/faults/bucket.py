"""S3 behind a proxy that can refuse, err, dawdle and vanish."""

import http.client
import random
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive", "server", "date", "expect"}
ERROR = '<?xml version="1.0"?><Error><Code>{code}</Code><Message>injected</Message></Error>'
CODES = {403: "AccessDenied", 500: "InternalError", 503: "SlowDown"}


@dataclass
class Mood:
    """How the bucket behaves now."""

    #: Answer with this status instead of serving, so often.
    status: int | None = None
    share: float = 1.0
    #: Wait so long before serving.
    delay_seconds: float = 0.0
    #: Drop every connection without a word.
    is_gone: bool = False


class Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    server: "BucketProxy"

    def serve(self) -> None:
        """Pass the request on, unless the mood is against it."""
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        mood = self.server.mood
        if mood.is_gone:
            self.close_connection = True
            self.connection.shutdown(SHUT_RDWR)
            return
        if mood.status is not None and self.server.chance.random() < mood.share:
            self.server.faults += 1
            text = ERROR.format(code=CODES[mood.status]).encode()
            self._answer(mood.status, {"content-type": "application/xml"}, text)
            return
        time.sleep(mood.delay_seconds)
        self._pass_on(body)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = serve

    def _pass_on(self, body: bytes) -> None:
        upstream = http.client.HTTPConnection(self.server.upstream, timeout=30)
        try:
            headers = {n: v for n, v in self.headers.items() if n.lower() not in HOP_BY_HOP}
            upstream.request(self.command, self.path, body=body, headers=headers)
            answer = upstream.getresponse()
            kept = {n: v for n, v in answer.getheaders() if n.lower() not in HOP_BY_HOP}
            self._answer(answer.status, kept, answer.read())
        finally:
            upstream.close()

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() != "content-length" or self.command == "HEAD":
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class BucketProxy(ThreadingHTTPServer):
    """Listens on a port of its own in front of the real server."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, endpoint_url: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.upstream = urlsplit(endpoint_url).netloc
        self.chance = random.Random(7)
        self.mood = Mood()
        self.faults = 0
        self._thread = Thread(target=self.serve_forever, name="bucket", daemon=True)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> "BucketProxy":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no error here."""

    def heal(self) -> None:
        """Serve everybody at once again."""
        self.mood = Mood()
