"""What stops a credential, what starts it again, and what it may do meanwhile."""

import pytest

from jobs.credentials import (
    BAD_KEY,
    BY_HAND,
    NO_FUNDS,
    Keyring,
    record_balance,
    stop,
    stopped_credentials,
)
from jobs.db import Database
from jobs.states import JobState
from tests.factories import NOW, make_job


@pytest.fixture
def keyring(database: Database) -> Keyring:
    made = Keyring(database, ["sk-only"])
    made.register()
    return made


def stopped(database: Database, keyring: Keyring, *reasons: str) -> list[bool]:
    """Stop the only credential for one reason after the other; whether each was news."""
    with database.transaction() as db:
        return [stop(db, keyring.ids[0], reason, NOW) for reason in reasons]


def reason_of(database: Database) -> str | None:
    """Why the only credential is stopped, if it is."""
    with database.reading() as db:
        return next(iter(stopped_credentials(db).values()), None)


@pytest.mark.parametrize(
    ("reason", "may_ask"), [(NO_FUNDS, True), (BAD_KEY, False), (BY_HAND, False)]
)
def test_only_without_funds_a_stopped_credential_asks_for_what_it_paid(
    database: Database, keyring: Keyring, reason: str, may_ask: bool
) -> None:
    stopped(database, keyring, reason)
    keyring.forget()

    assert keyring.usable() == ()
    assert keyring.awake() == (keyring.ids if may_ask else ())


@pytest.mark.parametrize(
    ("before", "after", "stays"),
    [
        (NO_FUNDS, BAD_KEY, BAD_KEY),
        (NO_FUNDS, BY_HAND, BY_HAND),
        (BAD_KEY, BY_HAND, BY_HAND),
        (BAD_KEY, NO_FUNDS, BAD_KEY),
        (BY_HAND, BAD_KEY, BY_HAND),
        (NO_FUNDS, NO_FUNDS, NO_FUNDS),
    ],
)
def test_a_graver_reason_takes_the_place_of_another(
    database: Database, keyring: Keyring, before: str, after: str, stays: str
) -> None:
    news = stopped(database, keyring, before, after)

    assert reason_of(database) == stays
    assert news == [True, stays != before]


@pytest.mark.parametrize("reason", [NO_FUNDS, BAD_KEY])
@pytest.mark.parametrize(
    ("left", "costs", "starts"), [(2000, 3000, False), (2000, 2000, True), (2000, None, True)]
)
def test_what_is_left_starts_a_credential_if_it_is_enough_for_any_job(
    database: Database, keyring: Keyring, reason: str, left: int, costs: int | None, starts: bool
) -> None:
    # Given jobs that wait, one of them dear, and one held, and one that does not wait,
    stopped(database, keyring, reason)
    with database.transaction() as db:
        make_job(db, JobState.SUCCEEDED, estimated_milli=1)
        if costs is not None:
            make_job(db, estimated_milli=25_000)
            make_job(db, JobState.HELD, held_for="funds", estimated_milli=costs)

        # when some credits are left, then a key that was refused is good,
        record_balance(db, keyring.ids[0], left, NOW)

    # and an account that was too poor is asked to pay only if it can.
    assert reason_of(database) == (None if starts or reason == BAD_KEY else NO_FUNDS)


@pytest.mark.parametrize(
    ("reason", "stays"), [(NO_FUNDS, None), (BAD_KEY, None), (BY_HAND, BY_HAND)]
)
def test_credits_start_what_no_person_stopped(
    database: Database, keyring: Keyring, reason: str, stays: str | None
) -> None:
    stopped(database, keyring, reason)

    with database.transaction() as db:
        record_balance(db, keyring.ids[0], 1000, NOW)

    assert reason_of(database) == stays
