"""When a worker may send at all, and what becomes of a job whose worker fails."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import pytest
import redis
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError

from jobs.catalog.loader import operation as find_operation
from jobs.clock import uptime
from jobs.db import Database
from jobs.limiter.permits import PUNCTUAL, Permit
from jobs.models import ABANDONED
from jobs.queue import leases
from jobs.stability.client import StabilityClient
from tests.integration.workshop import HOUR, Workshop, change_job, polled
from tests.servers import free_port, wait_until
from workers import delivery, executor, in_flight, inputs, resources
from workers.commits import Committer
from workers.inputs import build_body


def fails(*_: object) -> NoReturn:
    raise ValueError("nobody has thought of this")


def sees_through(shop: Workshop) -> bool:
    """Whether the threads of a worker are free again after the next job."""
    now = shop.r.database.now()
    with shop.r.database.transaction() as db:
        ids = leases.claim_due(db, now, limit=1, lease=timedelta(hours=1))
    jobs = in_flight.InFlight(shop.r)
    jobs.admit(ids)
    return jobs.drain()


def test_what_could_not_be_sent_is_tried_again(shop: Workshop) -> None:
    shop.r.client = StabilityClient(f"http://127.0.0.1:{free_port()}")
    job_id = shop.submit()

    shop.work()

    # Without a connection no attempt is begun.
    job, attempts = shop.job(job_id), shop.attempts(job_id)
    assert (job.state, job.error["code"], job.refusals) == ("queued", "not_sent", 1)
    assert not attempts
    assert shop.due_in(job_id) > timedelta(0)


def test_a_late_permit_is_not_used(small: Workshop) -> None:
    job_id = small.submit()
    (claim,) = small.take()
    (credential_id,) = small.r.keyring.ids
    late = Permit(credential_id, "late", time.monotonic() - PUNCTUAL.total_seconds() - 0.01)
    begun = executor.begin(small.r, claim, late)
    assert begun is not None
    operation = find_operation(claim.operation)
    body = build_body(small.r, operation, begun)

    outcome = executor.send(small.r, operation, begun, body, "a key", late, connect_seconds=0.0)
    executor.settle(small.r, operation, begun, outcome)
    body.close()

    job = small.job(job_id)
    assert (job.state, job.error["code"], job.refusals) == ("queued", "not_sent", 0)
    assert small.sent() == 0


def test_nothing_is_sent_when_redis_is_away(small: Workshop, tmp_path: Path) -> None:
    away = redis.Redis(unix_socket_path=str(tmp_path / "nobody.sock"))
    small.r.limiter._script.registered_client = away
    job_id = small.submit()

    small.work()

    job = small.job(job_id)
    assert (job.state, job.attempts, job.lease_owner) == ("queued", 0, None)
    assert small.sent() == 0
    assert small.due_in(job_id) > timedelta(0)


def test_a_worker_that_stops_begins_nothing(small: Workshop) -> None:
    job_id = small.submit()
    small.r.stopping.set()

    small.work()

    job = small.job(job_id)
    assert (job.state, job.attempts, job.lease_owner) == ("queued", 0, None)
    (credential_id,) = small.r.keyring.ids
    assert small.r.limiter.look(credential_id).used == 0


def test_a_worker_whose_leases_may_have_run_out_sends_nothing(small: Workshop) -> None:
    job_id = small.submit()
    small.r.leased_until = uptime()

    small.work()

    assert (small.job(job_id).state, small.job(job_id).attempts) == ("queued", 0)


def test_a_worker_whose_machine_slept_past_its_lease_sends_nothing(
    small: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = small.submit()
    awake_at = uptime() + 2 * HOUR.total_seconds()
    monkeypatch.setattr(resources, "uptime", lambda: awake_at)

    small.work()

    assert (small.job(job_id).state, small.job(job_id).attempts) == ("queued", 0)


def test_what_was_paid_is_written_down_when_a_hanging_database_lets_go(
    small: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a database of which all connections are in use,
    monkeypatch.setattr(resources, "DATABASE_RETRY_SECONDS", 0.01)
    narrow = Database(str(small.r.database.engine.url))
    narrow.engine = create_engine(
        small.r.database.engine.url, pool_size=1, max_overflow=0, pool_timeout=0.01
    )
    commits = Committer(narrow)
    r = replace(small.r, commits=commits)
    said: list[str] = []
    monkeypatch.setattr(r.changes, "say", lambda _part, state: said.append(state))
    taken = narrow.engine.connect()

    # when something is to be kept,
    with closing(commits), ThreadPoolExecutor(1) as pool:
        kept = pool.submit(r.persist, lambda _db, _now: "kept")
        wait_until(lambda: "TimeoutError" in said, "nothing is to be had")
        taken.close()

        # then it is, once there is a connection again.
        assert kept.result(30) == "kept"
    narrow.close()


def test_a_job_that_belongs_to_somebody_else_is_not_sent(small: Workshop) -> None:
    job_id = small.submit()
    (claim,) = small.take()

    executor.execute(small.r, replace(claim, fence=claim.fence - 1))

    assert small.job(job_id).attempts == 0


def test_without_its_key_a_job_is_not_begun(
    small: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a credential that is usable, and whose key is gone when its slot has been reserved
    job_id = small.submit()
    (credential_id,) = small.r.keyring.ids
    monkeypatch.setattr(small.r.keyring, "key", lambda _: None)

    small.work()

    job = small.job(job_id)
    assert (job.state, job.attempts, job.lease_owner) == ("queued", 0, None)
    assert small.due_in(job_id) > executor.AWAY_DELAY
    assert small.r.limiter.look(credential_id).used == 0


def test_a_database_that_does_not_tell_the_keys_leaves_nothing_that_looks_sent(
    small: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: str) -> NoReturn:
        raise OperationalError("SELECT", {}, Exception("the database is away"))

    job_id = small.submit()
    monkeypatch.setattr(small.r.keyring, "key", fails)

    small.work()

    job = small.job(job_id)
    assert (job.state, job.refusals, job.lease_owner) == ("queued", 0, None)
    assert small.attempts(job_id) == []
    assert small.due_in(job_id) > timedelta(0)


def test_a_surprise_before_the_intent_is_tried_again_and_then_given_up(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "build_body", fails)
    job_id = shop.submit()

    shop.work()

    waiting = shop.job(job_id)
    assert (waiting.state, waiting.refusals, waiting.lease_owner) == ("queued", 1, None)
    assert shop.due_in(job_id) > timedelta(seconds=0.5)
    shop.work()
    shop.work()
    job = shop.job(job_id)
    assert (job.state, job.error["code"], job.error["charged"]) == ("failed", "step_failed", "no")
    assert (shop.attempts(job_id), shop.sent()) == ([], 0)


def test_a_surprise_after_the_intent_is_left_to_the_next_owner(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "send", fails)
    job_id = shop.submit()

    shop.work()

    job, (attempt,) = shop.job(job_id), shop.attempts(job_id)
    assert (job.state, job.lease_owner, job.refusals) == ("submitting", ABANDONED, 0)
    assert (job.attempt_id, attempt.refused_at) == (attempt.id, None)


@pytest.mark.parametrize("state", ["queued", "polling", "storing"])
def test_a_job_of_an_operation_of_tomorrow_goes_back(small: Workshop, state: str) -> None:
    # Given a job that a newer Darkroom let in
    job_id = small.submit()
    change_job(small, job_id, operation="generate/tomorrow", state=state)

    small.work()

    job = small.job(job_id)
    assert (job.state, job.lease_owner, job.attempts, job.crashes) == (state, None, 0, 0)
    assert small.due_in(job_id) > executor.AWAY_DELAY


def test_a_lease_is_not_kept_for_a_job_that_could_not_be_settled(
    small: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_flight, "execute", fails)
    job_id = small.submit()

    assert sees_through(small)
    assert (small.job(job_id).state, small.job(job_id).lease_owner) == ("queued", ABANDONED)


def test_a_thread_is_free_again_even_if_its_job_cannot_be_abandoned(
    small: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_flight, "execute", fails)
    monkeypatch.setattr(leases, "abandon", fails)
    small.submit()

    assert sees_through(small)


def test_each_request_takes_one_permit(small: Workshop) -> None:
    for _ in range(3):
        small.submit()
    polled(small)
    small.work()
    small.work()

    (credential_id,) = small.r.keyring.ids
    assert small.r.limiter.look(credential_id).used == small.sent() == 5


def test_the_death_of_who_stored_untold_is_counted(
    small: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given bytes in the spool, and a worker that was killed before it told of them
    class Killed(BaseException):
        pass

    def dies(*_: object, **__: object) -> NoReturn:
        raise Killed

    job_id = small.submit()
    with monkeypatch.context() as patched:
        patched.setattr(delivery, "inspect", dies)
        with pytest.raises(Killed):
            small.work()
    now = small.r.database.now()
    with small.r.database.transaction() as db:
        leases.rescue(db, now, dead=[small.r.owner])
    change_job(small, job_id, state="submitting", crashes=0)

    # When others take over
    small.work()
    handed_on = small.job(job_id)
    small.work()

    # Then the first tells of the bytes and the death, and the second stores them some time later
    assert (handed_on.state, handed_on.crashes, handed_on.lease_owner) == ("storing", 1, None)
    assert handed_on.due_at >= now + leases.AFTER_DEATH
    assert small.job(job_id).state == "succeeded"
    assert small.charges() == 1


def test_a_job_that_kills_its_workers_is_put_aside(small: Workshop) -> None:
    job_id = polled(small)
    small.work()
    change_job(small, job_id, crashes=executor.MOST_CRASHES)

    small.work()

    assert small.job(job_id).error["code"] == "poison"
