"""A receiver of webhooks: a real server that does what a test tells it to."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread


class Receiver:
    """A server that takes messages and answers with what it is told to."""

    def __init__(self) -> None:
        self.messages: list[tuple[dict[str, str], str]] = []
        self.status, self.headers = 204, dict[str, str]()
        self.released = Event()
        self.released.set()
        self._lock = Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = int(self.headers["content-length"])
                body = self.rfile.read(size).decode()
                if len(body.encode()) < size:
                    # Its sender was killed in the middle: nobody gets such a message.
                    return
                with receiver._lock:
                    told = {name.lower(): value for name, value in self.headers.items()}
                    receiver.messages.append((told, body))
                receiver.released.wait(20)
                self.send_response(receiver.status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> "Receiver":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def types(self) -> list[str]:
        return [json.loads(body)["type"] for _, body in self.messages]
