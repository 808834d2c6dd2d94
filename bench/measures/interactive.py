"""How soon a job of one project starts behind the backlog of another, at the API's real rate."""

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from statistics import quantiles

from sqlalchemy import func, select

from bench.backlog import fill
from bench.figure import Figure
from bench.options import Options
from bench.site import Site, open_site, until
from jobs.models import Job, new_id, table
from jobs.queue import brakes
from jobs.queue.intake import NewJob
from jobs.states import JobState
from tests.faults.process import Process, python
from tests.servers import accepts_http, free_port

JOB = table(Job)

URGENT = 10
BULK, SHOP = "bulk", "shop"
#: Between two urgent jobs: long enough for each to meet another state of the queue.
PAUSE_SECONDS = 0.7
PATIENCE_SECONDS = 120


def measure(options: Options) -> Iterator[Figure]:
    """Urgent jobs one by one: while bulk uses all of the rate, and then while it is paused."""
    urgent = options.pick(100, 8)
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = python("-m", "jobs.stability.sandbox", "--port", str(port))
    sandbox = Process("sandbox", command, folder=options.folder, environment={})
    with ExitStack() as stack:
        sandbox.start()
        stack.callback(sandbox.kill)
        until(lambda: accepts_http(f"{address}/"), "the sandbox answers")
        site = stack.enter_context(open_site(options, STABILITY_API_HOST=address))
        backlog = options.pick(1_000_000, 5000)
        fill(site.database, backlog, project_id=BULK, batch_id=new_id())
        site.hire(workers=1, beats=1)
        until(lambda: begun(site) > options.pick(300, 30), "bulk uses the rate", PATIENCE_SECONDS)
        yield figure("while bulk uses all of the rate", waits(site, urgent), target=2.0)
        with site.database.transaction() as db:
            brakes.pause_project(db, BULK, site.database.now())
        until(lambda: is_idle(site), "bulk has stopped", PATIENCE_SECONDS)
        yield figure("while the rate is free", waits(site, urgent), target=1.0)


def figure(when: str, waited: list[float], *, target: float) -> Figure:
    """The wait of the slowest but five in a hundred."""
    sys.stdout.write(f"{when}: {' '.join(f'{seconds:.2f}' for seconds in sorted(waited))}\n")
    p95 = quantiles(waited, n=20)[18]
    return Figure(what=f"p95 to the start, {when}", value=p95, unit="s", target=target)


def waits(site: Site, urgent: int) -> list[float]:
    """Seconds from each job's admission until its paid call was begun."""
    found = []
    for number in range(urgent):
        job = NewJob(operation="generate/core", params={"prompt": f"{number}"}, priority=URGENT)
        (job_id,) = site.submit([job], project_id=SHOP)
        until(lambda job_id=job_id: wait_of(site, job_id) is not None, "it starts", 60)
        found.append(wait_of(site, job_id) or 0.0)
        time.sleep(PAUSE_SECONDS)
    return found


def wait_of(site: Site, job_id: str) -> float | None:
    """Seconds that a job waited for its start; None while it still does."""
    with site.database.reading() as db:
        times = select(JOB.c.created_at, JOB.c.started_at).where(JOB.c.id == job_id)
        row = db.execute(times).one()
    return None if row.started_at is None else (row.started_at - row.created_at).total_seconds()


def begun(site: Site) -> int:
    """Bulk jobs that were begun."""
    with site.database.reading() as db:
        rows = select(func.count()).where(
            JOB.c.project_id == BULK, JOB.c.state == JobState.SUCCEEDED
        )
        return int(db.execute(rows).scalar_one())


def is_idle(site: Site) -> bool:
    """Whether nothing is under way, and a whole window has passed since something was."""
    with site.database.reading() as db:
        last = db.execute(select(func.max(JOB.c.started_at))).scalar_one()
    quiet = site.settings.darkroom_rate.window
    return bool(site.database.now() - last > quiet)
