"""Follows the events of all jobs, once for the process, and tells those who wait for them."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fastapi.concurrency import run_in_threadpool
from sqlalchemy import Row
from sqlalchemy.exc import SQLAlchemyError

from jobs.db import Database
from jobs.feed import PAGE, News, last_event, pass_over, read_on
from jobs.states import FINAL
from jobs.telemetry import Changes

#: Between two looks at the database; each costs one question, whoever many listen.
LOOK_SECONDS = 0.2
#: Events that a listener may be behind; a slower one is cut off, and comes back for the rest.
MOST_BEHIND = 2000

Waiters = dict[str, set[asyncio.Event]]


class Listener:
    """One who hears the events of a project, or of one of its batches, in their order; None is the
    end."""

    def __init__(self, project_id: str, batch_id: str | None) -> None:
        self._project_id = project_id
        self._batch_id = batch_id
        self.heard: asyncio.Queue[Row[Any] | None] = asyncio.Queue()

    def wants(self, event: Row[Any]) -> bool:
        """Whether an event is one of those."""
        return event.project_id == self._project_id and self._batch_id in {None, event.batch_id}

    def tell(self, event: Row[Any]) -> bool:
        """Pass an event on; False when too many were not listened to."""
        if self.heard.qsize() >= MOST_BEHIND:
            return False
        self.heard.put_nowait(event)
        return True

    def end(self) -> None:
        """Say that there will be no more."""
        self.heard.put_nowait(None)


class Bulletin:
    """The one reader of the feed; lives on the event loop that started it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._changes = Changes()
        self._waiters: Waiters = {}
        self._listeners: set[Listener] = set()
        self._closing, self._began = asyncio.Event(), asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        #: Everything up to here was told; None before the first look.
        self.cursor: int | None = None

    def start(self) -> None:
        """Begin to follow."""
        self.loop = asyncio.get_running_loop()
        self._task = self.loop.create_task(self._follow())

    def close(self) -> None:
        """Let all who wait go, at once."""
        self._closing.set()
        self._began.set()
        for changed in [event for waiting in self._waiters.values() for event in waiting]:
            changed.set()
        for listener in self._listeners:
            listener.end()

    async def stop(self) -> None:
        """Close, and end."""
        self.close()
        if self._task is not None:
            await self._task

    async def wait_for_end(
        self,
        job_id: str,
        look: Callable[[], Awaitable[Mapping[str, Any]]],
        *,
        wait_seconds: float,
        until: Collection[str] = FINAL,
    ) -> Mapping[str, Any]:
        """The job once it has ended (is in one of these states), or as it is after so long."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_seconds
        with self._waiting(job_id) as changed:
            while True:
                changed.clear()
                shown = await look()
                remaining = deadline - loop.time()
                if shown["state"] in until or remaining <= 0 or self._closing.is_set():
                    return shown
                try:
                    await asyncio.wait_for(changed.wait(), remaining)
                except TimeoutError:
                    return await look()

    async def place(self) -> int | None:
        """The cursor, once the database has told it; None only if this is closed before."""
        await self._began.wait()
        return self.cursor

    @contextmanager
    def listening(self, project_id: str, batch_id: str | None) -> Iterator[Listener]:
        """Hear a project's, or a batch's, events from now on."""
        listener = Listener(project_id, batch_id)
        self._listeners.add(listener)
        if self._closing.is_set():
            listener.end()
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    @contextmanager
    def _waiting(self, job_id: str) -> Iterator[asyncio.Event]:
        changed = asyncio.Event()
        waiting = self._waiters.setdefault(job_id, set())
        waiting.add(changed)
        try:
            yield changed
        finally:
            waiting.discard(changed)
            if not waiting and self._waiters.get(job_id) is waiting:
                del self._waiters[job_id]

    async def _follow(self) -> None:
        while not self._closing.is_set():
            try:
                is_heard = self._is_heard
                news = await run_in_threadpool(self._read, is_heard=is_heard)
            except SQLAlchemyError as error:
                self._changes.say("feed", type(error).__name__)
            else:
                self._changes.say("feed", "ok")
                if self._is_heard and not is_heard:
                    # Somebody came meanwhile, who must not miss what was passed over.
                    continue
                self._tell(news)
                if len(news.told) == PAGE:
                    continue
            try:
                await asyncio.wait_for(self._closing.wait(), LOOK_SECONDS)
            except TimeoutError:
                continue

    @property
    def _is_heard(self) -> bool:
        return bool(self._listeners or self._waiters)

    def _read(self, *, is_heard: bool) -> News:
        now = self._database.now()
        with self._database.reading() as db:
            if self.cursor is None:
                return News([], [], last_event(db))
            if not is_heard and (passed := pass_over(db, self.cursor)) != self.cursor:
                # While a million rows come in, nobody reads a million events for nobody.
                return News([], [], passed)
            return read_on(db, self.cursor, now)

    def _tell(self, news: News) -> None:
        self.cursor = news.cursor
        self._began.set()
        for job_id in {event.job_id for event in news.changed} & self._waiters.keys():
            for changed in self._waiters[job_id]:
                changed.set()
        for event in news.told:
            for listener in list(self._listeners):
                if listener.wants(event) and not listener.tell(event):
                    self._listeners.discard(listener)
                    listener.end()
