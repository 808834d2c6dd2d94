"""Runs the interface on a socket until it is told to stop; then finishes what it has begun."""

import gc
import signal
import socket
import sys
from typing import NoReturn

import uvicorn
from fastapi import FastAPI

from api.app import create_app
from api.parts import Parts
from jobs.errors import SettingsError
from jobs.settings import Settings

BACKLOG = 2048


def serve(settings: Settings, *, host: str, port: int) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code. Says on stdout where, once it can.

    Raises SettingsError.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        # Uvicorn passes the signal on when all is finished, and that is no failure.
        signal.signal(number, leave)
    with listen(host, port) as listener:
        # Connections inherit it. asyncio sets it only where a socket names its protocol, and then
        # no answer of two small writes waits 40 ms for the client's acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        app = create_app(settings)
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=int(settings.darkroom_grace_seconds),
            h11_max_incomplete_event_size=64 * 1024,
        )
        # What is there by now stays. Looking through it for garbage again and again would halt all
        # requests for as long as a hundred of them take.
        gc.collect()
        gc.freeze()
        announce(listener)
        Server(config, app).run(sockets=[listener])
    return 0


def listen(host: str, port: int) -> socket.socket:
    """The socket that connections come to; raises SettingsError where there can be none."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        # Python repeats the address behind the reason.
        reason = (error.strerror or str(error)).partition(" (while")[0]
        raise SettingsError(
            f"cannot listen on {host}, port {port}: {reason}; choose another --host or --port"
        ) from error


class Server(uvicorn.Server):
    """Uvicorn's, which waits for requests to end; those who wait for jobs are let go first."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more requests, and finish those that are there."""
        parts: Parts = self._app.state.parts
        parts.bulletin.close()
        await super().shutdown(sockets)


def leave(_number: int, _frame: object) -> NoReturn:
    """End well."""
    sys.exit(0)


def announce(listener: socket.socket) -> None:
    """Tell whoever started us the address; connections wait until we take them."""
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    sys.stdout.write(f"api ready http://{shown}:{port}\n")
    sys.stdout.flush()
