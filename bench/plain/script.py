"""No queue at all: one asyncio program that makes the pictures, and writes the files and the rows.

    python -m bench.plain.script API POSTGRES FOLDER JOBS AT_ONCE

It does what a plain task does, and nothing of it survives its death. It prints its seconds and its
processor's seconds.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import aiohttp
from psycopg_pool import AsyncConnectionPool

from bench.plain.rows import DONE, INSERT_JOB, INSERT_OUTPUT, RUNNING

CREATE = "/v2beta/stable-image/generate/core"


async def make(
    session: aiohttp.ClientSession, pool: AsyncConnectionPool, folder: Path, job_id: int
) -> None:
    """Make one picture."""
    async with pool.connection() as db:
        found = await (await db.execute(RUNNING, [job_id])).fetchone()
    assert found is not None
    with aiohttp.MultipartWriter("form-data") as form:
        form.append(found[0]).set_content_disposition("form-data", name="prompt")
    async with session.post(CREATE, data=form) as answer:
        answer.raise_for_status()
        content = await answer.read()
    path = folder / f"{job_id}.png"
    path.write_bytes(content)
    seed, reason = int(answer.headers["seed"]), answer.headers["finish-reason"]
    output = [job_id, str(path), len(content), sha256(content).hexdigest(), seed, reason]
    async with pool.connection() as db:
        await db.execute(INSERT_OUTPUT, output)
        await db.execute(DONE, [job_id])


async def main(api: str, postgres: str, folder: Path, jobs: int, at_once: int) -> None:
    """Make all pictures."""
    headers = {"authorization": "Bearer sk-bench", "accept": "image/*"}
    connector = aiohttp.TCPConnector(limit=at_once)
    async with (
        AsyncConnectionPool(postgres, min_size=8, max_size=16) as pool,
        aiohttp.ClientSession(api, headers=headers, connector=connector) as session,
    ):
        async with pool.connection() as db, db.cursor() as cursor:
            rows = [(number, f"picture {number}", "queued") for number in range(jobs)]
            await cursor.executemany(INSERT_JOB, rows)
        numbers = iter(range(jobs))

        async def work(mine: Iterator[int]) -> None:
            for number in mine:
                await make(session, pool, folder, number)

        await asyncio.gather(*(work(numbers) for _ in range(at_once)))


if __name__ == "__main__":
    begun_at, used = time.monotonic(), time.process_time()
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), *map(int, sys.argv[4:6])))
    told = {"seconds": time.monotonic() - begun_at, "cpu": time.process_time() - used}
    sys.stdout.write(json.dumps(told))
