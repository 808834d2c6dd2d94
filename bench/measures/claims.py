"""What it costs to claim a hundred due jobs, by the number of jobs that wait."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from statistics import quantiles
from typing import Literal

from sqlalchemy import text, update

from bench.backlog import fill
from bench.figure import Figure
from bench.options import Options
from bench.site import Site, open_site
from jobs.db import Database
from jobs.models import Job, new_id, table
from jobs.queue import leases
from jobs.queue.starts import Turns
from jobs.states import JobState

JOB = table(Job)

CLAIMED = 100
LEASE = timedelta(minutes=1)
#: Projects among which the backlog is divided, each with one batch.
PROJECTS = 4


def measure(options: Options) -> Iterator[Figure]:
    """The same claims at three sizes of the backlog, on both databases."""
    sizes = (1000, options.pick(100_000, 5000), options.pick(1_000_000, 20_000))
    rounds = options.pick(300, 30)
    yield from on_database("postgres", options, sizes, rounds)
    yield from on_database("sqlite", options, sizes, rounds)


def on_database(
    on: Literal["postgres", "sqlite"], options: Options, sizes: tuple[int, ...], rounds: int
) -> Iterator[Figure]:
    """One database's figures; the sizes take turns, so that a noisy neighbour meets all of them."""
    took: dict[int, list[float]] = {size: [] for size in sizes}
    with ExitStack() as stack:
        sites = {size: stack.enter_context(open_site(options, on=on)) for size in sizes}
        turns = {size: Turns() for size in sizes}
        for size, site in sites.items():
            grow(site, size)
        for number in range(rounds):
            for size, site in sites.items():
                took[size].append(claim(site.database, turns[size], number))
    cuts = {size: quantiles(found, n=100) for size, found in took.items()}
    for size in sizes:
        yield Figure(what=f"{on}: p50 at {size:,} queued", value=cuts[size][49], unit="ms")
        yield Figure(what=f"{on}: p99 at {size:,} queued", value=cuts[size][98], unit="ms")
    for size in sizes[1:]:
        ratio = cuts[size][98] / cuts[sizes[0]][98]
        what = f"{on}: p99 at {size:,} to that at {sizes[0]:,}"
        yield Figure(what=what, value=ratio, unit="times", target=1.5)


def grow(site: Site, size: int) -> None:
    """Queue so many jobs, and let the database know how many they are."""
    for number in range(PROJECTS):
        fill(site.database, size // PROJECTS, project_id=f"p{number}", batch_id=new_id())
    with site.database.transaction() as db:
        db.execute(text("ANALYZE"))


def claim(database: Database, turns: Turns, number: int) -> float:
    """Milliseconds of one claim; what was claimed ends, and as much is queued again."""
    now = database.now()
    begun = time.perf_counter()
    with database.transaction() as db:
        ids = leases.claim_due(db, now, limit=CLAIMED, lease=LEASE, turns=turns)
    took = 1000 * (time.perf_counter() - begun)
    over = {"state": JobState.CANCELED, "finished_at": now}
    with database.transaction() as db:
        released = {"lease_owner": None, "lease_until": None}
        db.execute(update(JOB).where(JOB.c.id.in_(ids)).values(over | released))
    fill(database, len(ids), project_id=f"p{number % PROJECTS}")
    return took
