"""How fast the HTTP API takes jobs and tells of them, also with a million rows."""

import json
from collections.abc import Iterator
from typing import Literal

from sqlalchemy import text

from bench.backlog import fill
from bench.figure import Figure
from bench.options import Options
from bench.served import Served, serve
from bench.site import Site, open_site
from jobs import tallies
from jobs.db import Database
from jobs.models import DEFAULT_PROJECT, new_id

CONNECTIONS = 32
#: Of the paths whose ids are asked for.
SAMPLE = 1000


def measure(options: Options) -> Iterator[Figure]:
    """Submitting and looking on Postgres, then pages and counts over many rows on both."""
    with open_site(options) as site, serve(site, options) as served:
        yield from submitting(served, options)
        yield from looking(site, served, options)
    for on in ("postgres", "sqlite"):
        yield from over_many(options, on)


def submitting(served: Served, options: Options) -> Iterator[Figure]:
    """POST /v1/jobs."""
    bodies = [
        {"operation": "generate/core", "params": {"prompt": f"hare {number}"}}
        for number in range(SAMPLE)
    ]
    posts = [f"POST /v1/jobs {json.dumps(body)}" for body in bodies]
    served.load(posts, at_once=CONNECTIONS, seconds=1)
    found = served.load(posts, at_once=CONNECTIONS, seconds=options.pick(20, 3))
    yield Figure(
        what="POST /v1/jobs", value=found.per_second, unit="1/s", target=500, sense="at least"
    )
    yield Figure(what="POST /v1/jobs, p99", value=found.p99, unit="ms", target=100)


def looking(site: Site, served: Served, options: Options) -> Iterator[Figure]:
    """GET by id."""
    with site.database.reading() as db:
        ids = db.execute(text("SELECT id FROM job LIMIT :n"), {"n": SAMPLE}).scalars()
        gets = [f"GET /v1/jobs/{job_id}" for job_id in ids]
    found = served.load(gets, at_once=CONNECTIONS, seconds=options.pick(20, 3))
    yield Figure(
        what="GET /v1/jobs/{id}", value=found.per_second, unit="1/s", target=800, sense="at least"
    )
    yield Figure(what="GET /v1/jobs/{id}, p99", value=found.p99, unit="ms")


def over_many(options: Options, on: Literal["postgres", "sqlite"]) -> Iterator[Figure]:
    """Pages and counts, one request at a time."""
    rows = options.pick(1_000_000, 20_000)
    with open_site(options, on=on) as site, serve(site, options) as served:
        batch_id = new_id()
        fill(site.database, rows, project_id=DEFAULT_PROJECT, batch_id=batch_id)
        settle_down(site.database)
        paths = {
            "a page": "/v1/jobs?limit=50",
            "a page of one state": "/v1/jobs?limit=50&state=queued",
            "a page of a batch": f"/v1/jobs?limit=50&batch={batch_id}",
            "a batch with its counts": f"/v1/batches/{batch_id}",
        }
        for what, path in paths.items():
            found = served.load([f"GET {path}"], at_once=1, seconds=options.pick(10, 1))
            name = f"{on}: {what} of {rows:,} jobs, p99"
            yield Figure(what=name, value=found.p99, unit="ms", target=50)


def settle_down(database: Database) -> None:
    """Do what the beat does within seconds of so many rows: add their events up."""
    folded = -1
    while folded != 0:
        with database.transaction() as db:
            folded = tallies.fold(db)
    with database.transaction() as db:
        db.execute(text("ANALYZE"))
