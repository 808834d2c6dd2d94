"""What many requests ask of the database at the same time is asked together."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

from fastapi.concurrency import run_in_threadpool

from jobs.db import is_away

#: More at once would make the first of them wait too long.
MOST_TOGETHER = 64

Item = TypeVar("Item")
T = TypeVar("T")


class Gathering(Generic[Item, T]):
    """Has one thread answer the items of many requests; lives on one event loop.

    While some are answered, those that come in meanwhile gather for the next time: under load many
    share the price of a thread, a connection and its statements. An idle process waits for nobody.
    """

    def __init__(self, answer: Callable[[Sequence[Item]], Sequence[T | Exception]]) -> None:
        """`answer` runs in a thread, and gives the result of each item, or its error.

        It must have done nothing if it raises: then it is asked for each item alone. Only where
        the database was away nobody knows what it did; then all are told so, and none is repeated.
        """
        self._answer = answer
        self._waiting: deque[tuple[Item, asyncio.Future[T]]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def join(self, item: Item) -> T:
        """The answer to one item; raises its error."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._waiting.append((item, future))
        if self._task is None:
            # It serves others too, and must not speak in the name of the request that began it.
            self._task = loop.create_task(self._work(), context=Context())
        return await future

    async def _work(self) -> None:
        try:
            while self._waiting:
                some = min(len(self._waiting), MOST_TOGETHER)
                await self._answer_all([self._waiting.popleft() for _ in range(some)])
        finally:
            self._task = None

    async def _answer_all(self, some: Sequence[tuple[Item, "asyncio.Future[T]"]]) -> None:
        try:
            told = await run_in_threadpool(self._answer, [item for item, _ in some])
        except Exception as error:
            if len(some) > 1 and not is_away(error):
                # One of them is to blame: alone, each gets its own answer.
                for one in some:
                    await self._answer_all([one])
                return
            told = [error] * len(some)
        for (_, future), result in zip(some, told, strict=True):
            if future.done():
                # Whoever asked has gone.
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)
