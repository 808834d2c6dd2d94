"""A commit may be done though its answer is lost: what it did is found out, and kept by nobody."""

from collections.abc import Callable
from datetime import timedelta
from threading import Event
from typing import Any, NoReturn

import pytest
from sqlalchemy.exc import OperationalError

from jobs.db import Database
from jobs.outcomes import Received, Stored
from jobs.queue import leases, settling
from tests.integration.workshop import HOUR, Workshop
from tests.servers import wait_until
from workers import executor, in_flight, resources
from workers.in_flight import InFlight

MINUTE = timedelta(minutes=1)


def lose_answer(
    monkeypatch: pytest.MonkeyPatch, database: Database, is_lost: Event, *, is_done: bool = True
) -> None:
    """Let the next commit of anybody break off, after it was done or before."""
    dialect: Any = database.engine.dialect
    commit: Callable[[Any, Any], None] = type(dialect).do_commit

    def commit_and_fail(connection: Any) -> NoReturn:
        monkeypatch.delattr(dialect, "do_commit")
        if is_done:
            commit(dialect, connection)
        is_lost.set()
        raise dialect.loaded_dbapi.OperationalError("the connection is gone")

    monkeypatch.setattr(dialect, "do_commit", commit_and_fail, raising=False)


def lose_answer_to(
    monkeypatch: pytest.MonkeyPatch,
    shop: Workshop,
    outcome: type[Received] | type[Stored],
    *,
    is_done: bool = True,
) -> Event:
    """The same for the first commit of such an outcome; set when it has."""
    verb, is_lost = settling.TOGETHER[outcome], Event()

    def settle(*args: Any) -> list[bool]:
        monkeypatch.setitem(settling.TOGETHER, outcome, verb)
        lose_answer(monkeypatch, shop.r.database, is_lost, is_done=is_done)
        return verb(*args)

    monkeypatch.setitem(settling.TOGETHER, outcome, settle)
    return is_lost


def dispatch(shop: Workshop) -> list[str]:
    with shop.r.database.transaction() as db:
        return leases.claim_due(db, shop.r.database.now(), limit=9, lease=HOUR)


def renew(jobs: InFlight) -> None:
    """What the lease keeper does now and then."""
    jobs._keeper.renew()


def test_a_job_is_kept_for_as_long_as_it_is_in_hand(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a worker that is at a job,
    over = Event()
    monkeypatch.setattr(in_flight, "execute", lambda *_: over.wait(60))
    job_id = shop.submit()
    jobs = InFlight(shop.r)
    jobs.admit(dispatch(shop))
    taken = shop.job(job_id).lease_until

    # when its leases are renewed, then this one is,
    renew(jobs)
    kept = shop.job(job_id).lease_until
    assert kept > taken

    # and not any more when the worker has let go of it.
    over.set()
    assert jobs.drain()
    renew(jobs)
    assert shop.job(job_id).lease_until == kept


def test_a_job_that_was_taken_without_an_answer_is_kept_by_nobody(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a worker that took a job, and was not told so,
    job_id = shop.submit()
    ids = dispatch(shop)
    jobs = InFlight(shop.r)
    lose_answer(monkeypatch, shop.r.database, Event())
    with pytest.raises(OperationalError):
        jobs.admit(ids)
    leaked = shop.job(job_id)
    assert leaked.lease_owner == shop.r.owner

    # when it goes on renewing its leases, then this one runs out,
    renew(jobs)
    assert shop.job(job_id).lease_until == leaked.lease_until

    # and somebody finishes the job.
    with shop.r.database.transaction() as db:
        assert leases.rescue(db, leaked.lease_until + MINUTE) == 1
    shop.work()
    assert shop.job(job_id).state == "succeeded"
    assert jobs.drain()


@pytest.mark.parametrize("is_done", [True, False], ids=["told", "not told"])
def test_bytes_of_which_it_is_not_known_whether_they_were_told_are_told_again(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch, is_done: bool
) -> None:
    # Given a bucket that is so slow that it is told that the bytes came, without an answer,
    monkeypatch.setattr(executor, "NOTICE_SECONDS", 0.0)
    is_lost = lose_answer_to(monkeypatch, shop, Received, is_done=is_done)
    job_id = shop.submit()
    put = shop.r.storage.put

    def put_late(*args: Any, **options: Any) -> None:
        wait_until(is_lost.is_set, "it is told")
        put(*args, **options)

    monkeypatch.setattr(shop.r.storage, "put", put_late)

    # when they are in the bucket, then the job is done, and nobody has it.
    shop.work()
    job = shop.job(job_id)
    assert (job.state, job.lease_owner, job.charged_milli) == ("succeeded", None, 3000)
    assert list(shop.r.spool.pending()) == []


def test_a_job_whose_last_commit_was_not_answered_is_done(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "DATABASE_RETRY_SECONDS", 0.01)
    lose_answer_to(monkeypatch, shop, Stored)
    job_id = shop.submit()

    shop.work()

    job = shop.job(job_id)
    assert (job.state, job.lease_owner, job.charged_milli) == ("succeeded", None, 3000)
    assert len(shop.outputs(job_id)) == 1
    assert list(shop.r.spool.pending()) == []
