"""A call that waits for its job, and holds no thread meanwhile."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi.concurrency import run_in_threadpool
from sqlalchemy import Row

from api.parts import Parts
from jobs import history
from jobs.errors import Conflict
from jobs.queue import desk
from jobs.states import FINAL, JobState

#: A held job may wait for days; its caller is told so at once.
TOLD_AT_ONCE = FINAL | {JobState.HELD}


@dataclass(frozen=True)
class Seen:
    """A job and its outputs at one moment."""

    job: Row[Any]
    outputs: list[Row[Any]]


def look_at(parts: Parts, project_id: str, job_id: str) -> Seen:
    """The job as it is; raises NotFound."""
    with parts.database.reading() as db:
        job = history.get_job(db, project_id, job_id)
        return Seen(job, history.outputs_of(db, [job_id]).get(job_id, []))


async def wait_for(parts: Parts, project_id: str, job_id: str) -> Seen:
    """The job once it has ended or was refused, or as it is when the wait is over."""

    async def look() -> Mapping[str, Any]:
        seen = await run_in_threadpool(look_at, parts, project_id, job_id)
        return {"state": seen.job.state, "seen": seen}

    clock = asyncio.get_running_loop().time
    deadline = clock() + parts.settings.darkroom_wait_seconds
    while True:
        shown = await parts.bulletin.wait_for_end(
            job_id, look, wait_seconds=deadline - clock(), until=TOLD_AT_ONCE
        )
        seen: Seen = shown["seen"]
        if not is_unpaid(seen.job) or await run_in_threadpool(withdraw, parts, seen.job):
            return seen


def is_unpaid(job: Row[Any]) -> bool:
    """Whether the job is held for want of money, and none was spent on it."""
    is_held = job.state == JobState.HELD and job.held_for != "uncertain"
    return bool(is_held and not job.resubmits and not job.charged_milli)


def withdraw(parts: Parts, job: Row[Any]) -> bool:
    """Cancel a job whose caller is told that it is refused: he must not pay for it later. False
    when it went on just now."""
    now = parts.database.now()
    try:
        with parts.database.transaction() as db:
            desk.cancel(db, job.project_id, job.id, now)
    except Conflict:
        return False
    return True
