"""Asynchronous jobs to be measured: small pictures, and how long the API takes for them."""

import io
import json
import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random

from PIL import Image
from sqlalchemy import insert, select

from bench.options import Options
from bench.site import Site, open_site
from jobs.assets import add_image
from jobs.db import ensure
from jobs.durations import Histogram
from jobs.models import DEFAULT_PROJECT, Attempt, Duration, Job, Project, table
from jobs.queue.intake import NewJob
from jobs.storage import open_storage
from tests.faults.upstream import Upstream

ATTEMPT, DURATION, JOB = table(Attempt), table(Duration), table(Job)

OPERATION = "edit/replace-background-and-relight"
SIGMA = 0.25
#: Results from which the durations were learned before.
KNOWN = 400
#: The smallest side that the API takes.
SIDE = 64


@dataclass(frozen=True)
class Pace:
    """The median of the API's time for a job, and the least gap between two polls, in seconds."""

    median: float
    gap: float


def pace_of(options: Options) -> Pace:
    """The issue's pace; for a quick run a fifth of it, which says little about the plans."""
    return Pace(median=options.pick(40, 8), gap=options.pick(10, 2))


@contextmanager
def rendering(folder: Path, pace: Pace) -> Iterator[Upstream]:
    """The API at its real limits, and results that take their time."""
    delay = f"{pace.median:g}~{SIGMA}"
    options = ("--async-latency", delay, "--poll-gap", f"{pace.gap:g}", "--credits", "1000000")
    upstream = Upstream(folder, options)
    try:
        upstream.start()
        yield upstream
    finally:
        upstream.kill()


def open_rendering_site(
    options: Options, upstream: Upstream, pace: Pace
) -> AbstractContextManager[Site]:
    """An installation that asks this API for results at this pace, at the soonest."""
    return open_site(
        options, STABILITY_API_HOST=upstream.address, DARKROOM_POLL_SECONDS=f"{pace.gap:g}"
    )


def teach(site: Site, pace: Pace) -> None:
    """Let the operation's durations be known, as they are after some hundred jobs."""
    chance, histogram = Random(1), Histogram()
    for _ in range(KNOWN):
        taken = timedelta(seconds=chance.lognormvariate(math.log(pace.median), SIGMA))
        histogram = histogram.learn(taken, taken)
    row = {"operation": OPERATION, "histogram": histogram.as_row()}
    with site.database.transaction() as db:
        db.execute(insert(DURATION), row | {"updated_at": site.database.now()})


def submit_at(site: Site, moments: list[float]) -> None:
    """A job for each moment, in seconds from now."""
    now = site.database.now()
    with site.database.transaction() as db:
        ensure(db, table(Project), {"id": DEFAULT_PROJECT, "created_at": now})
    asset = add_image(site.database, open_storage(site.settings), DEFAULT_PROJECT, picture())
    site.submit(
        [
            NewJob(
                operation=OPERATION,
                params={"background_prompt": f"snow {number}"},
                inputs={"subject_image": asset},
                run_at=now + timedelta(seconds=seconds),
            )
            for number, seconds in enumerate(moments)
        ]
    )


def picture() -> io.BytesIO:
    """The subject of all jobs."""
    target = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), "peru").save(target, "PNG")
    return target


def lateness(site: Site, folder: Path) -> list[float]:
    """Seconds from the moment that each result was ready until its job had stored it.

    The sandbox, which ran in this folder, tells the first in its journal.
    """
    ready_at = {}
    for line in (folder / "sandbox" / "journal.jsonl").read_text("utf-8").splitlines():
        record = json.loads(line)
        if "accepted" in record:
            ready_at[record["accepted"]["id"]] = record["accepted"]["ready_at"]
    stored = select(ATTEMPT.c.result_id, JOB.c.finished_at).join(
        JOB, JOB.c.attempt_id == ATTEMPT.c.id
    )
    with site.database.reading() as db:
        rows = db.execute(stored.where(JOB.c.finished_at.is_not(None))).all()
    return [row.finished_at.timestamp() - ready_at[row.result_id] for row in rows]
