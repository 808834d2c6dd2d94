"""A question for the balance is a request like any other: it needs a permit that is still good."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from jobs.balances import Teller, ask_balance
from jobs.credentials import BY_HAND, STOP_REASONS, stop, stopped_credentials
from jobs.limiter import permits
from jobs.limiter.permits import Limiter, NotNow, Permit
from tests.integration.sandbox.caller import Caller, running
from tests.integration.workshop import PATIENCE, Workshop, workshop
from workers.maintenance.accountant import check_balances
from workers.maintenance.releaser import release_held_jobs

MINUTE = timedelta(seconds=60)


@pytest.fixture
def api() -> Iterator[Caller]:
    with running() as caller:
        yield caller


@pytest.fixture
def shop(api: Caller, sqlite_url: str, redis_url: str, tmp_path: Path) -> Iterator[Workshop]:
    with workshop(api, database_url=sqlite_url, redis_url=redis_url, home=tmp_path) as made:
        yield made


def teller_of(shop: Workshop) -> Teller:
    r = shop.r
    return Teller(r.limiter, r.client, r.keyring, r.settings.freeze)


def ask(shop: Workshop) -> int | None:
    """The balance of the only credential."""
    (credential_id,) = shop.r.keyring.ids
    return ask_balance(teller_of(shop), credential_id)


def used(shop: Workshop) -> int:
    """The slots of the only credential that are taken."""
    (credential_id,) = shop.r.keyring.ids
    return shop.r.limiter.look(credential_id).used


def test_a_balance_is_asked_for_with_one_permit(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However busy the machine is, the slot is not missed.
    monkeypatch.setattr(permits, "PUNCTUAL", MINUTE)

    balance = ask(shop)

    assert balance is not None
    assert balance > 0
    assert (shop.sent(), used(shop)) == (1, 1)


def test_a_freeze_elsewhere_stops_a_question_that_waits_for_its_slot(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given another process that is told a 429 while this one waits for its slot,
    wait = shop.r.limiter.wait

    def wait_while_another_is_refused(permit: Permit) -> None:
        wait(permit)
        another = Limiter(shop.r.redis, shop.r.settings.darkroom_rate)
        another.freeze(permit.credential_id, MINUTE)

    monkeypatch.setattr(shop.r.limiter, "wait", wait_while_another_is_refused)

    # when it would ask, then it is silent, and its slot is free again.
    assert ask(shop) is None
    assert (shop.sent(), used(shop)) == (0, 0)


def test_a_429_to_a_question_freezes_as_any_other_does(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a key that the API has locked out without our knowledge,
    monkeypatch.setattr(permits, "PUNCTUAL", MINUTE)
    shop.api.fault(status_429="1x1")
    assert shop.api.core().status_code == 429

    # when its balance is asked for, then there is none, and everybody is silent from now on.
    assert ask(shop) is None
    (credential_id,) = shop.r.keyring.ids
    assert shop.r.limiter.look(credential_id).frozen > MINUTE / 2
    assert isinstance(
        Limiter(shop.r.redis, shop.r.settings.darkroom_rate).reserve([credential_id]), NotNow
    )


def test_a_question_that_is_late_for_its_slot_is_not_asked(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(permits, "PUNCTUAL", -MINUTE)

    assert ask(shop) is None
    assert (shop.sent(), used(shop)) == (0, 0)


@pytest.mark.parametrize("reason", STOP_REASONS)
def test_a_check_asks_for_those_that_a_refusal_stopped(shop: Workshop, reason: str) -> None:
    database = shop.r.database
    (credential_id,) = shop.r.keyring.ids
    with database.transaction() as db:
        stop(db, credential_id, reason, database.now())

    # A slot may be missed on a busy machine.
    for _ in range(PATIENCE):
        check_balances(database, teller_of(shop))

    is_by_hand = reason == BY_HAND
    with database.reading() as db:
        assert bool(stopped_credentials(db)) == is_by_hand
    assert (shop.sent() == 0) == is_by_hand


def check(shop: Workshop) -> int:
    """What the beat does each minute: ask, and let go on what was held; returns how many."""
    # A slot may be missed on a busy machine.
    for _ in range(PATIENCE):
        check_balances(shop.r.database, teller_of(shop))
    return release_held_jobs(shop.r.database, shop.r.keyring.ids)


@pytest.fixture
def poor(sqlite_url: str, redis_url: str, tmp_path: Path) -> Iterator[Workshop]:
    """A worker whose account has 4 credits."""
    with (
        running("--credits", "4") as api,
        workshop(api, database_url=sqlite_url, redis_url=redis_url, home=tmp_path) as made,
    ):
        yield made


def test_held_jobs_stay_in_peace_until_there_is_enough_for_them(poor: Workshop) -> None:
    # Given two jobs at 3 credits, of which the account could pay one,
    ids = [poor.submit(), poor.submit()]
    poor.work()
    assert sorted(poor.job(i).state for i in ids) == ["held", "succeeded"]

    # when the one that is left is too little, then nothing is tried with it,
    assert check(poor) == 0
    assert poor.r.keyring.usable() == ()

    # when somebody buys more, then the other job goes on.
    poor.api.post_json("/_sandbox/credits", {"key": poor.api.key, "credits": 2})
    assert check(poor) == 1
    poor.work()
    assert [poor.job(i).state for i in ids] == ["succeeded"] * 2


def test_a_dear_job_waits_in_peace_beside_cheap_ones(poor: Workshop) -> None:
    # Given a job that is too dear, and a cheap one that the account can pay,
    dear = poor.submit("generate/ultra")
    poor.work()
    assert poor.job(dear).held_for == "funds"
    cheap = poor.submit()

    # when the credential pays again, then only for the cheap one,
    assert check(poor) == 0
    poor.work()
    assert (poor.job(dear).state, poor.job(cheap).state) == ("held", "succeeded")

    # and credits that are bought while it is not stopped are noticed, too.
    poor.api.post_json("/_sandbox/credits", {"key": poor.api.key, "credits": 9})
    assert poor.r.keyring.usable() == poor.r.keyring.ids
    assert check(poor) == 1


def test_another_credential_is_tried_though_nobody_knows_its_balance(poor: Workshop) -> None:
    dear = poor.submit("generate/ultra")
    poor.work()
    assert check(poor) == 0

    released = release_held_jobs(poor.r.database, (*poor.r.keyring.ids, "another"))

    assert (released, poor.job(dear).state) == (1, "queued")
