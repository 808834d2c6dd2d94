"""Draws planned answers in threads, so that the event loop goes on answering."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from jobs.stability.sandbox import picture, solid, video, words
from jobs.stability.sandbox.plan import Plan

#: Drawing is short and mostly holds the interpreter: more threads would only contend.
THREADS = 2

DRAWERS = {"image": picture.draw, "video": video.draw, "model": solid.draw, "any": words.draw}


class Studio:
    """The drawing threads; they start when the first answer is drawn."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="studio")

    def close(self) -> None:
        """Drop what is not begun, and wait for nothing."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def draw(self, plan: Plan) -> bytes:
        """The bytes of a plan."""
        drawer = DRAWERS[plan.media]
        return await asyncio.get_running_loop().run_in_executor(self._threads, drawer, plan)
