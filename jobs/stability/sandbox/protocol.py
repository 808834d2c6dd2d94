"""What the sandbox must know of a connection and ASGI does not tell: arrivals, and the socket."""

import asyncio
import socket
import struct
import time
from dataclasses import dataclass
from typing import Any

import h11
from starlette.types import Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

#: Linger on, for no time: closing then sends a reset and drops what is unsent.
ABORTIVE_CLOSE = struct.pack("ii", 1, 0)


@dataclass
class Wire:
    """One connection: its transport, and when its newest request began to arrive."""

    transport: asyncio.Transport
    #: Monotonic seconds.
    arrived: float = 0.0

    @property
    def is_closing(self) -> bool:
        """Whether the client has gone, or is being left."""
        return self.transport.is_closing()

    def reset(self) -> None:
        """Break the connection with a TCP reset."""
        self.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, ABORTIVE_CLOSE
        )
        self.transport.abort()

    def close(self) -> None:
        """Close the connection in order, once what was written is out."""
        self.transport.close()


def wire_of(scope: Scope) -> Wire:
    """The connection on which a request came."""
    wire = scope["state"]["wire"]
    assert isinstance(wire, Wire)
    return wire


class SandboxProtocol(H11Protocol):
    """Uvicorn's protocol, which leaves a `Wire` in the state of each request."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wire = Wire(transport)
        self.app_state = {**self.app_state, "wire": self._wire}

    def data_received(self, data: bytes) -> None:
        # The first bytes of a request hold its request line; the body may come much later.
        if self.conn.their_state is h11.IDLE:
            self._wire.arrived = time.monotonic()
        super().data_received(data)
