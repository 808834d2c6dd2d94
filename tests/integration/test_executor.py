"""What a job comes to when the API, the network or Redis goes wrong: each row of the table."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError

from jobs import credentials
from jobs.limiter import permits
from jobs.limiter.permits import NotNow, Permit
from jobs.outcomes import Outcome
from jobs.stability.client import StabilityClient
from jobs.stability.sandbox.submission import REFUSED_WORD
from tests.integration.sandbox.caller import Caller as Client
from tests.integration.workshop import Workshop, polled, workshop
from tests.sockets import Caller, head_of, scripted
from workers import executor
from workers.commits import Notice

MINUTE = timedelta(seconds=60)


def test_a_synchronous_job_is_paid_once_and_succeeds(shop: Workshop) -> None:
    job_id = shop.submit()

    shop.work()

    # The last one: a busy machine may have missed the slots of those before.
    job, attempt = shop.job(job_id), shop.attempts(job_id)[-1]
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
    # A poll that failed does not say that the result was not there.
    assert asked.polled_at is None
    shop.work()

    assert (accepted.state, asked.state, asked.polls) == ("polling", "polling", 1)
    assert accepted.result_id == shop.attempts(job_id)[0].result_id
    assert shop.job(job_id).state == "succeeded"
    assert shop.charges() == 1


@pytest.mark.parametrize("is_kept", [True, False], ids=["kept", "lost"])
def test_a_notice_whose_commit_has_no_answer_keeps_no_job_from_its_end(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch, is_kept: bool
) -> None:
    # Given a bucket that takes its time, and a database that breaks off meanwhile, with or without
    # keeping what it was told,
    is_broken = Event()

    def break_off(connection: Connection) -> None:
        if is_kept:
            connection.connection.commit()
        is_broken.set()
        raise OperationalError("COMMIT", {}, Exception("the connection is lost"))

    def soon(*args: Any) -> Notice:
        event.listen(shop.r.database.engine, "commit", break_off, once=True)
        return notify(*args)

    def deliver(*args: Any) -> Outcome:
        assert is_broken.wait(30)
        return bring(*args)

    notify, bring = shop.r.commits.soon, executor.deliver
    monkeypatch.setattr(shop.r.commits, "soon", soon)
    monkeypatch.setattr(executor, "deliver", deliver)
    job_id = shop.submit()

    shop.work()

    # then the job ends all the same, paid once.
    job = shop.job(job_id)
    assert (job.state, job.lease_owner) == ("succeeded", None)
    assert (len(shop.outputs(job_id)), shop.charges()) == (1, 1)


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

    job, attempt = shop.job(job_id), shop.attempts(job_id)[-1]
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
    assert MINUTE - timedelta(seconds=20) < shop.r.limiter.look(credential_id).frozen <= MINUTE
    for waiting in states:
        assert shop.due_in(waiting) > MINUTE - timedelta(seconds=20)


def test_a_429_freezes_even_if_its_body_breaks_off(small: Workshop) -> None:
    def script(caller: Caller) -> None:
        caller.read_request()
        caller.send(head_of(429, {"content-length": "100"}) + b"{")

    with scripted(script) as server:
        small.r.client = StabilityClient(server.address)
        job_id = small.submit()

        small.work()

    (credential_id,) = small.r.keyring.ids
    assert small.r.limiter.look(credential_id).frozen > timedelta(0)
    assert (small.job(job_id).state, small.job(job_id).refusals) == ("queued", 0)


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
    api: Client, sqlite_url: str, redis_url: str, tmp_path: Path
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


def test_a_call_whose_slot_was_lost_while_connecting_takes_the_next_one(
    small: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a line that opens two minutes after its slot,
    monkeypatch.setattr(permits, "PUNCTUAL", MINUTE)
    monkeypatch.setattr(executor, "PUNCTUAL", MINUTE)
    reserve = small.r.limiter.reserve
    reserved: list[Permit] = []

    def reserve_late(*args: Any, **named: Any) -> Permit | NotNow:
        permit = reserve(*args, **named)
        assert isinstance(permit, Permit)
        reserved.append(permit)
        return permit if len(reserved) > 1 else replace(permit, at=permit.at - 120)

    monkeypatch.setattr(small.r.limiter, "reserve", reserve_late)
    job_id = small.submit()

    small.work()

    # then no intent is written for it, and the call is made in another slot.
    attempts = small.attempts(job_id)
    assert attempts[-1].received_at is not None
    assert len(attempts) == len(reserved) - 1
    (credential_id,) = small.r.keyring.ids
    assert small.r.limiter.look(credential_id).used == 1
