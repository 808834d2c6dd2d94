"""How fast the rows of a batch come in over HTTP, and what memory that takes."""

import http.client
import json
import time
from collections.abc import Iterator
from threading import Event, Thread
from typing import Literal

from bench.figure import Figure
from bench.options import Options
from bench.served import Served, serve
from bench.site import open_site
from bench.usage import resident_mib

TARGETS = {"postgres": 20_000, "sqlite": 10_000}
LINES_AT_ONCE = 1000
#: A million rows may take so much more memory than their first tenth did.
MOST_GROWTH = 1.2


def measure(options: Options) -> Iterator[Figure]:
    """A stream of NDJSON into either database."""
    for on in ("postgres", "sqlite"):
        yield from into(options, on)


def into(options: Options, on: Literal["postgres", "sqlite"]) -> Iterator[Figure]:
    """One database's figures."""
    rows = options.pick(1_000_000, 20_000)
    with open_site(options, on=on) as site, serve(site, options) as served:
        batch_id = call(served, "/v1/batches", b'{"name": "rows"}')["id"]
        memory: list[float] = []
        ended = Event()
        watch = Thread(target=note_memory, args=(served.process.pid, memory, ended))
        watch.start()
        begun_at = time.monotonic()
        told = call(served, f"/v1/batches/{batch_id}/jobs", lines(rows), "application/x-ndjson")
        seconds = time.monotonic() - begun_at
        ended.set()
        watch.join()
    assert told["accepted"] == rows, told
    yield Figure(
        what=f"{on}: {rows:,} rows",
        value=rows / seconds,
        unit="rows/s",
        target=TARGETS[on],
        sense="at least",
    )
    early = max(memory[: max(1, len(memory) // 10)])
    yield Figure(what=f"{on}: memory at the most", value=max(memory), unit="MiB")
    growth = max(memory) / early
    yield Figure(what=f"{on}: to its first tenth", value=growth, unit="x", target=MOST_GROWTH)


def lines(rows: int) -> Iterator[bytes]:
    """The rows, some at a time."""
    for start in range(0, rows, LINES_AT_ONCE):
        numbers = range(start, min(rows, start + LINES_AT_ONCE))
        # Whoever sends has a machine of his own; this takes as little as can be of the API's.
        yield "".join(
            f'{{"operation": "generate/core", "params": {{"prompt": "hare {n}", "seed": {n}}}}}\n'
            for n in numbers
        ).encode()


def call(
    served: Served, path: str, body: bytes | Iterator[bytes], kind: str = "application/json"
) -> dict[str, str]:
    """POST, and the answer; raises RuntimeError for a refusal."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=600)
    headers = {"authorization": f"Bearer {served.key}", "content-type": kind}
    connection.request("POST", path, body, headers, encode_chunked=not isinstance(body, bytes))
    answer = connection.getresponse()
    told: dict[str, str] = json.load(answer)
    connection.close()
    if answer.status >= 400:
        raise RuntimeError(f"{path}: {told}")
    return told


def note_memory(pid: int, memory: list[float], ended: Event) -> None:
    """Write the process's memory down ten times a second."""
    while not ended.wait(0.1):
        memory.append(resident_mib(pid))
