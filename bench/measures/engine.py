"""How much work one machine does when the API has no limits: Darkroom beside plain code."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psycopg
from sqlalchemy import func, select

from bench.figure import Figure
from bench.options import Options
from bench.plain.rows import INSERT_JOB, SCHEMA
from bench.site import Site, open_site, until
from bench.usage import cpu_seconds
from jobs.models import Job, table
from jobs.queue.intake import NewJob
from tests.faults.process import Process, plain_environment, python
from tests.servers import accepts_http, free_port

JOB = table(Job)

PROCESSES = 2
THREADS = 32
ROUNDS = 3
PATIENCE_SECONDS = 300


@dataclass(frozen=True)
class Run:
    """How one contestant did."""

    jobs: int
    seconds: float
    cpu: float

    @property
    def per_second(self) -> float:
        """Jobs in a second."""
        return self.jobs / self.seconds

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of one core for each job, in the processes that do the work."""
        return 1000 * self.cpu / self.jobs


def measure(options: Options) -> Iterator[Figure]:
    """Three rounds of each in turn, so that a noisy neighbour meets all of them."""
    jobs = options.pick(2000, 200)
    rounds = options.pick(ROUNDS, 1)
    runs: dict[str, list[Run]] = {"script": [], "celery": [], "darkroom": []}
    port = free_port()
    api = f"http://127.0.0.1:{port}"
    upstream = Process(
        "upstream",
        python("-m", "bench.upstream", str(port)),
        folder=options.folder,
        environment={},
    )
    with ExitStack() as stack:
        upstream.start()
        stack.callback(upstream.kill)
        until(lambda: accepts_http(f"{api}/"), "the upstream answers")
        site = stack.enter_context(
            open_site(
                options,
                STABILITY_API_HOST=api,
                DARKROOM_RATE="1000000/1s",
                DARKROOM_WORKER_THREADS=str(THREADS),
            )
        )
        site.hire(workers=PROCESSES, beats=1)
        for number in range(rounds):
            runs["script"].append(run_script(site, options.folder / f"script-{number}", api, jobs))
            runs["celery"].append(run_celery(site, options.folder / f"celery-{number}", api, jobs))
            runs["darkroom"].append(run_darkroom(site, jobs))
    yield from figures(runs)


def figures(runs: dict[str, list[Run]]) -> Iterator[Figure]:
    """The middle round of each, and the middle of the rounds' ratios."""
    for name, found in runs.items():
        yield Figure(what=f"{name}: speed", value=middle(found), unit="jobs/s")
    for name, found in runs.items():
        cpu = median(run.cpu_ms for run in found)
        target = 8.0 if name == "darkroom" else None
        yield Figure(what=f"{name}: CPU of the workers", value=cpu, unit="ms/job", target=target)
    for name, target in (("celery", 1.0), ("script", 0.35)):
        ratio = median(
            ours.per_second / theirs.per_second
            for ours, theirs in zip(runs["darkroom"], runs[name], strict=True)
        )
        what = f"darkroom beside {name}"
        yield Figure(what=what, value=ratio, unit="x", target=target, sense="at least")


def middle(found: list[Run]) -> float:
    """The median speed."""
    return median(run.per_second for run in found)


def plain_address(site: Site) -> str:
    """The database as psycopg writes it."""
    return site.settings.database_address.replace("+psycopg", "")


def run_script(site: Site, folder: Path, api: str, jobs: int) -> Run:
    """The plain asyncio program, one process."""
    folder.mkdir()
    address = plain_address(site)
    with psycopg.connect(address, autocommit=True) as db:
        db.execute(SCHEMA.encode())
    arguments = (api, address, str(folder), str(jobs), str(PROCESSES * THREADS))
    told = subprocess.run(
        [sys.executable, "-m", "bench.plain.script", *arguments],
        env=plain_environment(),
        capture_output=True,
        check=True,
    )
    result = json.loads(told.stdout)
    return Run(jobs, result["seconds"], result["cpu"])


def run_celery(site: Site, folder: Path, api: str, jobs: int) -> Run:
    """The plain Celery task, with as many processes and threads."""
    folder.mkdir()
    address = plain_address(site)
    environment = {
        "PLAIN_REDIS": site.environment["REDIS_URL"].replace("unix://", "redis+socket://"),
        "PLAIN_POSTGRES": address,
        "PLAIN_API": api,
        "PLAIN_FOLDER": str(folder),
    }
    command = python("-m", "celery", "-A", "bench.plain.tasks", "worker", "-P", "threads")
    options = ("-c", str(THREADS), "--without-gossip", "--without-mingle", "-l", "warning")
    workers = [
        Process(
            f"{folder.name}-{number}",
            (*command, *options, "-n", f"plain{number}"),
            folder=folder.parent,
            environment=environment,
        )
        for number in range(PROCESSES)
    ]
    with ExitStack() as stack, psycopg.connect(address, autocommit=True) as db:
        db.execute(SCHEMA.encode())
        for worker in workers:
            worker.start()
            stack.callback(worker.kill)
        # A first job for every thread, so that connections are open as ours are.
        publish(db, environment, range(-PROCESSES * THREADS, 0))
        until(lambda: plain_done(db) == PROCESSES * THREADS, "the plain workers are warm")
        pids = [worker.pid for worker in workers]
        used, begun_at = cpu_seconds(pids), time.monotonic()
        publish(db, environment, range(jobs))
        until(
            lambda: plain_done(db) == PROCESSES * THREADS + jobs,
            "the plain tasks are done",
            PATIENCE_SECONDS,
        )
        return Run(jobs, time.monotonic() - begun_at, cpu_seconds(pids) - used)


def publish(db: psycopg.Connection, environment: dict[str, str], numbers: range) -> None:
    """Insert the rows, and send a message for each."""
    from bench.plain.tasks import app

    with db.transaction(), db.cursor() as cursor:
        rows = [(number, f"picture {number}", "queued") for number in numbers]
        cursor.executemany(INSERT_JOB, rows)
    app.conf.broker_url = environment["PLAIN_REDIS"]
    with app.connection_for_write() as connection, app.amqp.Producer(connection) as producer:
        for number in numbers:
            app.send_task("plain.make", args=[number], producer=producer)


def plain_done(db: psycopg.Connection) -> int:
    """How many of the plain jobs are done."""
    row = db.execute("SELECT count(*) FROM plain_output").fetchone()
    assert row is not None
    return int(row[0])


def run_darkroom(site: Site, jobs: int) -> Run:
    """Darkroom, which also keeps history, leases and checksums."""
    pids = [worker.pid for worker in site.crew.workers]
    before = succeeded(site)
    used, begun_at = cpu_seconds(pids), time.monotonic()
    params = [{"prompt": f"picture {number}", "output_format": "png"} for number in range(jobs)]
    site.submit([NewJob(operation="generate/core", params=one) for one in params])
    until(lambda: succeeded(site) == before + jobs, "the jobs have succeeded", PATIENCE_SECONDS)
    return Run(jobs, time.monotonic() - begun_at, cpu_seconds(pids) - used)


def succeeded(site: Site) -> int:
    """How many jobs have succeeded."""
    with site.database.reading() as db:
        count = select(func.count()).select_from(JOB).where(JOB.c.state == "succeeded")
        return int(db.execute(count).scalar_one())
