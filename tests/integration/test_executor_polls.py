"""What a job comes to whose result is asked for, whatever the polls are told."""

from datetime import timedelta

import pytest

from jobs import credentials
from tests.integration.workshop import Workshop, change_job, polled

MINUTE = timedelta(seconds=60)


def test_a_429_to_a_poll_freezes_too(small: Workshop) -> None:
    job_id = polled(small)
    small.work()
    small.api.fault(poll_429="1x1")

    small.work()

    (credential_id,) = small.r.keyring.ids
    assert small.r.limiter.look(credential_id).frozen > timedelta(0)
    assert small.job(job_id).state == "polling"
    assert small.due_in(job_id) > MINUTE - timedelta(seconds=20)


def test_a_stopped_credential_is_not_polled_with_and_the_result_waits(small: Workshop) -> None:
    job_id = polled(small)
    small.work()
    (credential_id,) = small.r.keyring.ids
    database = small.r.database
    with database.transaction() as db:
        credentials.stop(db, credential_id, credentials.BY_HAND, database.now())
    small.r.keyring.forget()
    sent = small.sent()

    small.work()

    assert small.sent() == sent
    assert small.job(job_id).state == "polling"


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
