"""Runs the sandbox on a socket until it is told to stop."""

import asyncio
import logging
import signal
import socket
import sys
from contextlib import closing

from uvicorn import Config
from uvicorn.server import ServerState

from jobs.catalog.loader import addressed
from jobs.stability.sandbox.app import create_app
from jobs.stability.sandbox.made_up import made_up
from jobs.stability.sandbox.protocol import SandboxProtocol
from jobs.stability.sandbox.settings import SandboxSettings
from jobs.stability.sandbox.stage import Stage

#: Longer than clients keep idle connections, so that it is not the server who drops them.
KEEP_ALIVE_SECONDS = 75

BACKLOG = 2048


def serve(settings: SandboxSettings) -> None:
    """Serve until SIGTERM or SIGINT; says on stdout where, once it listens."""
    listener = socket.create_server((settings.host, settings.port), backlog=BACKLOG)
    # asyncio sets it only where a socket names its protocol; connections inherit it.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with closing(Stage(settings)) as stage:
        asyncio.run(run(stage, listener))


async def run(stage: Stage, listener: socket.socket) -> None:
    """Serve on a socket that already listens."""
    # Uvicorn's own server polls a clock, and lets requests in flight finish before it stops.
    config = Config(
        create_app(stage, [*addressed().values(), *made_up().values()]),
        http=SandboxProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    config.load()
    state = ServerState()
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    server = await loop.create_server(
        lambda: SandboxProtocol(config, state, {}), sock=listener, backlog=BACKLOG
    )
    announce(listener)
    await stopped.wait()
    server.close()
    # What is in flight is dropped, and Uvicorn need not report each case as an error.
    logging.getLogger("uvicorn.error").disabled = True
    for connection in list(state.connections):
        connection.transport.abort()


def announce(listener: socket.socket) -> None:
    """Tell whoever started the sandbox its address."""
    host, port = listener.getsockname()[:2]
    sys.stdout.write(f"sandbox ready http://{host}:{port}\n")
    sys.stdout.flush()
