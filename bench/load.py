"""Requests to an API from a process of its own, over kept-alive connections.

    python -m bench.load PORT KEY AT_ONCE SECONDS

Takes requests as lines of `METHOD PATH [BODY]` from stdin and goes through them again and again
until the time is over; prints how many were answered, how soon, and how many not with a 2xx.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle

from bench.usage import percentile


@dataclass
class Tally:
    """What came back."""

    milliseconds: list[float] = field(default_factory=list)
    refused: int = 0


def raw(line: str, key: str) -> bytes:
    """A request as it goes over the wire."""
    method, path, *rest = line.strip().split(" ", 2)
    body = rest[0].encode() if rest else b""
    head = (
        f"{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def ask(port: int, requests: Iterator[bytes], tally: Tally, deadline: float) -> None:
    """Send one request after the other on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.perf_counter() < deadline:
        begun_at = time.perf_counter()
        writer.write(next(requests))
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        tally.milliseconds.append(1000 * (time.perf_counter() - begun_at))
        tally.refused += not head.split(b" ", 2)[1].startswith(b"2")
    writer.close()


async def main(port: int, key: str, at_once: int, seconds: float) -> None:
    """Load the API, and tell how it did."""
    requests = cycle([raw(line, key) for line in sys.stdin if line.strip()])
    tally = Tally()
    begun_at = time.perf_counter()
    asking = [ask(port, requests, tally, begun_at + seconds) for _ in range(at_once)]
    await asyncio.gather(*asking)
    told = {
        "per_second": len(tally.milliseconds) / (time.perf_counter() - begun_at),
        "p50": percentile(tally.milliseconds, 0.5),
        "p99": percentile(tally.milliseconds, 0.99),
        "refused": tally.refused,
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
