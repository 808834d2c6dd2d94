"""Many at once: no job has two owners, and no budget is overrun."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sqlalchemy import select

from jobs.db import Database
from jobs.errors import Conflict
from jobs.models import DEFAULT_PROJECT
from jobs.outcomes import Uncertain
from jobs.queue import desk, leases
from jobs.queue.moves import JOB
from jobs.queue.settling import settle
from jobs.states import JobState
from tests.factories import (
    LEASE,
    NOW,
    PRICE,
    fault,
    make_batch,
    make_job,
    read_batch,
    read_claim,
)

REPOSITORY = Path(__file__).parents[2]
JOBS = 40
THREADS = 20


def test_two_dispatchers_never_claim_the_same_job(database: Database) -> None:
    with database.transaction() as db:
        ids = [make_job(db) for _ in range(JOBS)]

    def claim_some(_: int) -> list[str]:
        with database.transaction() as db:
            return leases.claim_due(db, NOW, limit=3, lease=LEASE)

    with ThreadPoolExecutor(4) as threads:
        claimed = [job_id for some in threads.map(claim_some, range(JOBS)) for job_id in some]

    assert sorted(claimed) == sorted(ids)


def test_two_processes_never_take_the_same_job(database: Database, database_url: str) -> None:
    with database.transaction() as db:
        ids = [make_job(db) for _ in range(JOBS)]
    command = [sys.executable, "-m", "tests.integration.claimer", database_url]

    claimers = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
        for _ in range(2)
    ]
    taken = [line for claimer in claimers for line in claimer.communicate(timeout=60)[0].split()]

    assert sorted(taken) == sorted(ids)
    assert [claimer.returncode for claimer in claimers] == [0, 0]


def test_one_message_delivered_to_many_has_one_taker(database: Database) -> None:
    with database.transaction() as db:
        job_id = make_job(db)
        leases.claim_due(db, NOW, limit=1, lease=LEASE)

    def take(number: int) -> int:
        with database.transaction() as db:
            return len(leases.take(db, [job_id], NOW, owner=f"worker {number}", lease=LEASE))

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(take, range(8))) == 1


def test_retries_at_once_reserve_exactly_what_the_budget_has(database: Database) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db, budget_milli=7 * PRICE)
        ids = [make_job(db, JobState.FAILED, batch_id=batch_id, row=row) for row in range(THREADS)]

    def retry(job_id: str) -> bool:
        try:
            with database.transaction() as db:
                desk.retry(db, DEFAULT_PROJECT, job_id, NOW)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(THREADS) as threads:
        assert sum(threads.map(retry, ids)) == 7

    with database.reading() as db:
        assert read_batch(db, batch_id).reserved_milli == 7 * PRICE


def test_second_payments_at_once_stay_within_the_budget(database: Database) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db, budget_milli=(THREADS + 5) * PRICE)
        ids = [
            make_job(db, JobState.SUBMITTING, batch_id=batch_id, row=row) for row in range(THREADS)
        ]
        claims = [read_claim(db, job_id) for job_id in ids]

    def lose(number: int) -> None:
        with database.transaction() as db:
            assert settle(db, claims[number], Uncertain(fault()), NOW)

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(lose, range(THREADS)))

    with database.reading() as db:
        states = list(db.execute(select(JOB.c.state)).scalars())
        assert (states.count("queued"), states.count("held")) == (5, THREADS - 5)
        assert read_batch(db, batch_id).reserved_milli == (THREADS + 5) * PRICE
