"""What a job comes to when the API, the network or Redis goes wrong: each row of the table."""

import base64
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn
from uuid import uuid4

import pytest
import redis
from sqlalchemy import create_engine, update
from sqlalchemy.exc import OperationalError

from jobs import credentials
from jobs.catalog.loader import operation as find_operation
from jobs.db import Database
from jobs.limiter.permits import PUNCTUAL, Permit
from jobs.models import ABANDONED
from jobs.queue import leases
from jobs.queue.moves import JOB
from jobs.stability.client import StabilityClient
from jobs.stability.sandbox.submission import REFUSED_WORD
from tests.integration.sandbox.caller import Caller, picture, running
from tests.integration.workshop import Workshop, workshop
from tests.servers import free_port, wait_until
from workers import delivery, executor, in_flight, resources
from workers.commits import Committer
from workers.inputs import build_body

FREEZE = timedelta(seconds=60)


@pytest.fixture(scope="module")
def shared() -> Iterator[Caller]:
    with running() as caller:
        yield caller


@pytest.fixture
def api(shared: Caller) -> Iterator[Caller]:
    """The module's sandbox with a fresh key, and without faults after the test."""
    yield shared.with_key(uuid4().hex)
    shared.fault()


@pytest.fixture
def shop(api: Caller, database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Workshop]:
    """A worker on each database."""
    with workshop(api, database_url=database_url, redis_url=redis_url, home=tmp_path) as made:
        yield made


@pytest.fixture
def small(api: Caller, sqlite_url: str, redis_url: str, tmp_path: Path) -> Iterator[Workshop]:
    """A worker on SQLite, for what has nothing to do with the database."""
    with workshop(api, database_url=sqlite_url, redis_url=redis_url, home=tmp_path) as made:
        yield made


def polled(shop: Workshop, **changes: Any) -> str:
    """A job whose result is polled for."""
    content = base64.b64encode(picture(256, 256)).decode()
    image = f"data:image/png;base64,{content}"
    return shop.submit("upscale/creative", inputs={"image": image}, **changes)


def test_a_synchronous_job_is_paid_once_and_succeeds(shop: Workshop) -> None:
    job_id = shop.submit()

    shop.work()

    job, (attempt,) = shop.job(job_id), shop.attempts(job_id)
    assert (job.state, job.error, job.lease_owner) == ("succeeded", None, None)
    assert attempt.received_at is not None
    assert shop.charges() == 1
    assert job.charged_milli == job.estimated_milli
    assert len(shop.outputs(job_id)) == 1


def test_an_asynchronous_job_is_polled_until_it_is_there(shop: Workshop) -> None:
    job_id = polled(shop)

    shop.work()
    accepted = shop.job(job_id)
    shop.api.fault(poll_500="1x1")
    shop.work()
    asked = shop.job(job_id)
    shop.work()

    assert (accepted.state, asked.state, asked.polls) == ("polling", "polling", 1)
    assert accepted.result_id == shop.attempts(job_id)[0].result_id
    assert shop.job(job_id).state == "succeeded"
    assert shop.charges() == 1


#: fault -> the job's state, its error's code, charges, and whether the attempt is uncertain
ROWS = [
    ("status-500", "queued", "provider_error", 0, False),
    ("status-503", "queued", "provider_error", 0, False),
    ("status-502", "held", "gateway_error", 0, True),
    ("status-504", "held", "gateway_error", 0, True),
    ("reset-before-charge", "held", "answer_lost", 0, True),
    ("reset-after-charge", "held", "answer_lost", 1, True),
    ("hang", "held", "answer_lost", 1, True),
    ("truncate", "held", "answer_lost", 1, True),
    ("wrong-type", "held", "unexpected_answer", 1, True),
    ("garbage", "held", "bad_media", 1, True),
]


@pytest.mark.parametrize(("fault", "state", "code", "charges", "is_uncertain"), ROWS)
def test_a_failed_call_comes_to_what_the_table_says(
    shop: Workshop, fault: str, state: str, code: str, charges: int, is_uncertain: bool
) -> None:
    shop.api.fault(**{fault: "1x1"})
    job_id = shop.submit(on_uncertain="hold")

    shop.work()

    job, (attempt,) = shop.job(job_id), shop.attempts(job_id)
    assert (job.state, job.error["code"]) == (state, code)
    assert (attempt.uncertain_at is not None, attempt.refused_at is not None) == (
        is_uncertain,
        not is_uncertain,
    )
    assert job.refusals == (0 if is_uncertain else 1)
    assert shop.charges() == charges


@pytest.mark.parametrize("fault", ["reset-after-charge", "status-502"])
def test_a_lost_answer_is_paid_for_once_more_and_no_oftener(small: Workshop, fault: str) -> None:
    small.api.fault(**{fault: 1})
    job_id = small.submit()

    for _ in range(4):
        small.work()

    job = small.job(job_id)
    assert (job.state, job.held_for, job.resubmits) == ("held", "uncertain", 1)
    assert len(small.attempts(job_id)) == 2


def test_a_policy_of_failing_fails_and_says_that_it_may_have_been_paid(small: Workshop) -> None:
    small.api.fault(hang="1x1")
    job_id = small.submit(on_uncertain="fail")

    small.work()

    job = small.job(job_id)
    assert (job.state, job.error["charged"]) == ("failed", "unknown")


def test_refusals_without_a_charge_end_with_the_third(small: Workshop) -> None:
    small.api.fault(status_500=1)
    job_id = small.submit()

    for _ in range(5):
        small.work()

    job = small.job(job_id)
    assert (job.state, job.error["class"], job.refusals) == ("failed", "provider", 2)
    assert len(small.attempts(job_id)) == 3
    assert small.charges() == 0


@pytest.mark.parametrize(
    ("params", "code", "error_class"),
    [
        ({"prompt": ""}, "bad_request", "user"),
        ({"prompt": f"a {REFUSED_WORD} lake"}, "content_moderation", "moderation"),
    ],
)
def test_a_no_of_the_api_is_final_and_free(
    small: Workshop, params: dict[str, Any], code: str, error_class: str
) -> None:
    job_id = small.submit(params=params)

    small.work()

    job = small.job(job_id)
    assert (job.state, job.error["code"], job.error["class"]) == ("failed", code, error_class)
    assert job.error["charged"] == "no"
    assert job.charged_milli == small.charges() == 0


def test_a_429_freezes_everybody_and_spends_no_try(shop: Workshop) -> None:
    shop.api.fault(status_429="1x1")
    job_id, other_id = shop.submit(), shop.submit()

    shop.work()

    states = {i: shop.job(i) for i in (job_id, other_id)}
    assert {job.state for job in states.values()} == {"queued"}
    assert sum(job.attempts for job in states.values()) == 1
    assert {job.refusals for job in states.values()} == {0}
    assert shop.sent() == 1
    (credential_id,) = shop.r.keyring.ids
    assert FREEZE - timedelta(seconds=20) < shop.r.limiter.look(credential_id).frozen <= FREEZE
    for waiting in states:
        assert shop.due_in(waiting) > FREEZE - timedelta(seconds=20)


def test_a_429_to_a_poll_freezes_too(small: Workshop) -> None:
    job_id = polled(small)
    small.work()
    small.api.fault(poll_429="1x1")

    small.work()

    (credential_id,) = small.r.keyring.ids
    assert small.r.limiter.look(credential_id).frozen > timedelta(0)
    assert small.job(job_id).state == "polling"
    assert small.due_in(job_id) > FREEZE - timedelta(seconds=20)


@pytest.mark.parametrize(("status", "reason"), [(401, "key"), (402, "funds")])
def test_a_bad_key_or_an_empty_account_stops_the_credential(
    shop: Workshop, status: int, reason: str
) -> None:
    shop.api.fault(**{f"status-{status}": "1x1"})
    job_id, other_id = shop.submit(), shop.submit()

    shop.work()

    with shop.r.database.reading() as db:
        stopped = credentials.stopped_credentials(db)
    assert stopped == dict.fromkeys(shop.r.keyring.ids, reason)
    for held in (job_id, other_id):
        job = shop.job(held)
        assert (job.state, job.held_for, job.refusals) == ("held", "funds", 0)
    assert shop.sent() == 1


def test_another_credential_takes_over_from_a_stopped_one(
    api: Caller, sqlite_url: str, redis_url: str, tmp_path: Path
) -> None:
    api.fault(status_402="1x1")
    keys = f"{api.key},{uuid4().hex}"
    with workshop(
        api,
        database_url=sqlite_url,
        redis_url=redis_url,
        home=tmp_path,
        stability_api_key=keys,
    ) as shop:
        job_id = shop.submit()

        shop.work()
        shop.work()

        job, attempts = shop.job(job_id), shop.attempts(job_id)
        assert job.state == "succeeded"
        assert len({attempt.credential_id for attempt in attempts}) == 2


@pytest.mark.parametrize("status", [500, 502, 503, 504, 402])
def test_nothing_that_a_poll_is_told_ends_a_young_job(small: Workshop, status: int) -> None:
    job_id = polled(small)
    small.work()
    small.api.fault(**{f"poll-{status}": "1x1"})

    small.work()

    assert small.job(job_id).state == "polling"
    small.work()
    assert small.job(job_id).state == "succeeded"


@pytest.mark.parametrize("fault", ["poll-reset", "poll-truncate", "poll-wrong-type"])
def test_a_poll_that_is_lost_is_asked_again(small: Workshop, fault: str) -> None:
    job_id = polled(small)
    small.work()
    small.api.fault(**{fault: "1x1"})

    small.work()

    assert small.job(job_id).state == "polling"
    small.work()
    assert small.job(job_id).state == "succeeded"
    assert small.charges() == 1


def test_damaged_media_of_a_poll_are_fetched_again(small: Workshop) -> None:
    job_id = polled(small)
    small.work()
    small.api.fault(poll_garbage="1x1")

    small.work()

    assert (small.job(job_id).state, small.job(job_id).error) == ("polling", None)
    small.work()
    assert small.job(job_id).state == "succeeded"
    assert small.charges() == 1


@pytest.mark.parametrize(
    ("age", "state", "code"),
    [
        (timedelta(hours=1), "failed", "result_unknown"),
        (timedelta(hours=25), "held", "result_expired"),
    ],
)
def test_an_unknown_result_is_a_fault_while_young_and_expired_when_old(
    small: Workshop, age: timedelta, state: str, code: str
) -> None:
    job_id = polled(small, on_uncertain="hold")
    small.work()
    change_job(small, job_id, result_id="0" * 64, accepted_at=small.r.database.now() - age)

    small.work()

    job = small.job(job_id)
    assert (job.state, job.error["code"]) == (state, code)
    assert small.charges() == 1


def test_polling_ends_when_the_result_is_a_day_old(small: Workshop) -> None:
    job_id = polled(small, on_uncertain="hold")
    small.work()
    small.api.fault(poll_500=1)
    change_job(small, job_id, accepted_at=small.r.database.now() - timedelta(hours=25))

    small.work()

    assert small.job(job_id).error["code"] == "result_expired"


@pytest.mark.parametrize(
    ("age", "state", "code"),
    [(timedelta(hours=24), "polling", None), (timedelta(hours=25), "held", "result_expired")],
)
@pytest.mark.parametrize("reason", ["no key", "a stopped key"])
def test_polling_without_a_good_key_ends_when_the_result_is_a_day_old(
    small: Workshop, age: timedelta, state: str, code: str | None, reason: str
) -> None:
    # Given a result whose key was taken out of the settings, or is refused by the API
    job_id = polled(small, on_uncertain="hold")
    small.work()
    if reason == "no key":
        change_job(small, job_id, credential_id="key-of-yesterday")
    else:
        small.api.fault(poll_401=1)
    change_job(small, job_id, accepted_at=small.r.database.now() - age)

    small.work()

    job = small.job(job_id)
    assert (job.state, job.error and job.error["code"]) == (state, code)
    assert small.charges() == 1


def test_an_old_result_whose_slot_has_not_come_is_not_given_up(small: Workshop) -> None:
    job_id = polled(small)
    small.work()
    (credential_id,) = small.r.keyring.ids
    small.r.limiter.freeze(credential_id, timedelta(seconds=60))
    change_job(small, job_id, accepted_at=small.r.database.now() - timedelta(hours=25))

    small.work()

    assert (small.job(job_id).state, small.job(job_id).error) == ("polling", None)


def change_job(shop: Workshop, job_id: str, **values: Any) -> None:
    """Let the job look as if something had happened."""
    with shop.r.database.transaction() as db:
        db.execute(update(JOB).where(JOB.c.id == job_id).values(values))


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
    small.r.leased_until = time.monotonic()

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

    assert (small.job(job_id).state, small.attempts(job_id)) == ("queued", [])


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
    def fails(*_: object) -> NoReturn:
        raise ValueError("nobody has thought of this")

    monkeypatch.setattr(in_flight, "execute", fails)
    job_id = small.submit()
    now = small.r.database.now()
    with small.r.database.transaction() as db:
        ids = leases.claim_due(db, now, limit=1, lease=timedelta(hours=1))
    jobs = in_flight.InFlight(small.r)

    jobs.admit(ids)

    assert jobs.drain()
    assert (small.job(job_id).state, small.job(job_id).lease_owner) == ("queued", ABANDONED)


def test_a_thread_is_free_again_even_if_its_job_cannot_be_abandoned(
    small: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> NoReturn:
        raise ValueError("nobody has thought of this")

    monkeypatch.setattr(in_flight, "execute", fails)
    monkeypatch.setattr(leases, "abandon", fails)
    small.submit()
    now = small.r.database.now()
    with small.r.database.transaction() as db:
        ids = leases.claim_due(db, now, limit=1, lease=timedelta(hours=1))
    jobs = in_flight.InFlight(small.r)

    jobs.admit(ids)

    assert jobs.drain()


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

    def dies(*_: object) -> NoReturn:
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

    # Then the first tells of the bytes and the death, and the second stores them
    assert (handed_on.state, handed_on.crashes, handed_on.lease_owner) == ("storing", 1, None)
    assert small.job(job_id).state == "succeeded"
    assert small.charges() == 1


def test_a_job_that_kills_its_workers_is_put_aside(small: Workshop) -> None:
    job_id = polled(small)
    small.work()
    change_job(small, job_id, crashes=executor.MOST_CRASHES)

    small.work()

    assert small.job(job_id).error["code"] == "poison"
