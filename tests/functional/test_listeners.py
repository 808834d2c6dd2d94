"""Five hundred at once hear of jobs, or wait for one, in one process that hardly grows by them."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.functional import processes
from tests.functional.darkroom import Darkroom
from tests.functional.shop import Shop, open_counter

CROWD = 500
#: The server's pool has 40; a thread for each listener would be hundreds.
MOST_THREADS = 60
#: A listener costs some 50 KiB; a connection or a thread for each would cost more.
MOST_GROWTH_KIB = 80 * 1024
#: Longer is as good as never.
PATIENCE_SECONDS = 60

BATCH = {"operation": "generate/core", "jobs": [{"params": {"prompt": "a hare"}}]}

Act = Callable[[], None]
Hear = Callable[[asyncio.StreamReader], Coroutine[Any, Any, bytes]]


@pytest.fixture
def shop(darkroom: Darkroom, redis_url: str) -> Iterator[Shop]:
    """The interface; nobody works on what comes in."""
    with open_counter(darkroom.having(REDIS_URL=redis_url, STABILITY_API_KEY="sk-test")) as shop:
        yield shop


def test_five_hundred_listeners_hear_of_a_batch(shop: Shop) -> None:
    pid, before_kib = shop.process.child.pid, settled_memory_kib(shop)
    made: list[dict[str, Any]] = []

    told = asyncio.run(
        told_to_all(
            shop,
            "/v1/events",
            b": listening",
            lambda: made.append(shop.call("POST", "/v1/batches", json=BATCH).json()),
            lambda reader: reader.readuntil(b"}\r\n"),
        )
    )

    events = [json.loads(text.partition("data: ")[2]) for text in told]
    assert len(events) == CROWD
    assert {event["batch_id"] for event in events} == {made[0]["id"]}
    assert processes.threads(pid) <= MOST_THREADS
    assert processes.peak_memory_kib(pid) - before_kib <= MOST_GROWTH_KIB


def test_five_hundred_wait_for_a_job_and_are_answered_at_its_end(shop: Shop) -> None:
    pid, before_kib = shop.process.child.pid, settled_memory_kib(shop)
    job = {"operation": "generate/core", "params": {"prompt": "a hare"}}
    path = f"/v1/jobs/{shop.call('POST', '/v1/jobs', json=job).json()['id']}"

    told = asyncio.run(
        told_to_all(
            shop,
            f"{path}?wait=60",
            b"",
            lambda: shop.call("POST", f"{path}/cancel").raise_for_status(),
            lambda reader: reader.read(),
        )
    )

    assert ["200 OK" in text and '"state":"canceled"' in text for text in told] == [True] * CROWD
    assert processes.threads(pid) <= MOST_THREADS
    assert processes.peak_memory_kib(pid) - before_kib <= MOST_GROWTH_KIB


def settled_memory_kib(shop: Shop) -> int:
    """The process's memory when it has answered once."""
    assert shop.call("GET", "/v1/jobs").ok
    return processes.peak_memory_kib(shop.process.child.pid)


async def told_to_all(shop: Shop, path: str, ready: bytes, act: Act, hear: Hear) -> list[str]:
    """What each of the crowd hears of what is done when all are there."""
    async with asyncio.timeout(PATIENCE_SECONDS), AsyncExitStack() as stack:
        crowd = [await asked(shop, path, stack) for _ in range(CROWD)]
        await asyncio.gather(*(reader.readuntil(ready) for reader in crowd if ready))
        await until(lambda: processes.open_files(shop.process.child.pid) >= CROWD)
        await asyncio.to_thread(act)
        return [text.decode() for text in await asyncio.gather(*map(hear, crowd))]


async def asked(shop: Shop, path: str, stack: AsyncExitStack) -> asyncio.StreamReader:
    """A connection on which the call was made."""
    where = urlsplit(shop.address)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    stack.callback(writer.close)
    head = [f"GET {path} HTTP/1.1", "host: shop", f"authorization: Bearer {shop.key}"]
    writer.write("\r\n".join([*head, "connection: close", "", ""]).encode())
    return reader


async def until(condition: Callable[[], bool]) -> None:
    """Wait, as long as the caller has patience."""
    while not condition():
        await asyncio.sleep(0.01)
