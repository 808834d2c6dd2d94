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

app = Celery("plain", broker=os.environ.get("PLAIN_REDIS", "redis://"))
app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=4)

SCHEMA = """
CREATE TABLE plain_job (id bigint PRIMARY KEY, prompt text NOT NULL, state text NOT NULL);
CREATE TABLE plain_output (
    job_id bigint PRIMARY KEY, path text NOT NULL, bytes int NOT NULL, sha256 text NOT NULL,
    seed bigint, finish_reason text
);
"""

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
        row = db.execute(
            "UPDATE plain_job SET state = 'running' WHERE id = %s RETURNING prompt", [job_id]
        ).fetchone()
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
            "INSERT INTO plain_output VALUES (%s, %s, %s, %s, %s, %s)",
            [
                job_id,
                str(path),
                len(answer.content),
                sha256(answer.content).hexdigest(),
                int(answer.headers["seed"]),
                answer.headers["finish-reason"],
            ],
        )
        db.execute("UPDATE plain_job SET state = 'done' WHERE id = %s", [job_id])
