"""A Celery task for each job, as one would write it first: call, file, row.

Reads its addresses from the environment: PLAIN_REDIS, PLAIN_POSTGRES, PLAIN_API, PLAIN_FOLDER.
A worker that dies in it loses the job or pays twice; nobody asks the limiter; there is no history.
"""

import os
import threading
from hashlib import sha256
from pathlib import Path

import requests
from celery import Celery
from psycopg_pool import ConnectionPool

from bench.plain.rows import DONE, INSERT_OUTPUT, RUNNING

app = Celery("plain", broker=os.environ.get("PLAIN_REDIS", "redis://"))
app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=4)

local = threading.local()
pools: list[ConnectionPool] = []
opening = threading.Lock()


def pool() -> ConnectionPool:
    """This process's connections."""
    with opening:
        if not pools:
            pools.append(ConnectionPool(os.environ["PLAIN_POSTGRES"], min_size=8, max_size=16))
    return pools[0]


def session() -> requests.Session:
    """This thread's connection to the API."""
    if not hasattr(local, "session"):
        local.session = requests.Session()
    found: requests.Session = local.session
    return found


@app.task(name="plain.make")  # type: ignore[untyped-decorator]
def make(job_id: int) -> None:
    """Make one picture."""
    with pool().connection() as db:
        row = db.execute(RUNNING, [job_id]).fetchone()
    assert row is not None
    answer = session().post(
        f"{os.environ['PLAIN_API']}/v2beta/stable-image/generate/core",
        headers={"authorization": "Bearer sk-bench", "accept": "image/*"},
        files={"prompt": (None, row[0])},
        timeout=60,
    )
    answer.raise_for_status()
    path = Path(os.environ["PLAIN_FOLDER"]) / f"{job_id}.png"
    path.write_bytes(answer.content)
    with pool().connection() as db:
        db.execute(
            INSERT_OUTPUT,
            [
                job_id,
                str(path),
                len(answer.content),
                sha256(answer.content).hexdigest(),
                int(answer.headers["seed"]),
                answer.headers["finish-reason"],
            ],
        )
        db.execute(DONE, [job_id])
