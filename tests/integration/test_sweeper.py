"""Answers that a machine brings back: to their jobs, beside other workers, and time and again."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any, NoReturn
from uuid import uuid4

import pytest
from sqlalchemy import update
from sqlalchemy.exc import OperationalError

from jobs.errors import StorageError
from jobs.outcomes import Received
from jobs.queue import attempts, leases, settling
from jobs.queue.moves import JOB, Claim
from tests.integration.sandbox.caller import Caller, picture, running
from tests.integration.workshop import HOUR, Workshop, workshop
from tests.servers import wait_until
from workers.executor import MOST_CRASHES
from workers.maintenance import sweeper
from workers.maintenance.sweeper import YOUNG, keep_sweeping, sweep_spool

PNG = {"content_type": "image/png"}
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
#: A job that nobody has.
FREE = {"lease_owner": None, "lease_until": None}


@pytest.fixture(scope="module")
def api() -> Iterator[Caller]:
    with running() as caller:
        yield caller.with_key(uuid4().hex)


@pytest.fixture
def pair(
    api: Caller, database_url: str, redis_url: str, tmp_path: Path
) -> Iterator[tuple[Workshop, Workshop]]:
    """Two machines, each with a spool of its own, on one database and one bucket."""
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(
                workshop(api, database_url=database_url, redis_url=redis_url, home=tmp_path / name)
            )
            for name in ("first", "second")
        )
        second.r.storage = first.r.storage
        yield first, second


@pytest.fixture
def shop(api: Caller, sqlite_url: str, redis_url: str, tmp_path: Path) -> Iterator[Workshop]:
    """One machine, on SQLite."""
    with workshop(api, database_url=sqlite_url, redis_url=redis_url, home=tmp_path) as made:
        yield made


def change_job(shop: Workshop, job_id: str, **values: Any) -> None:
    """Let the job look as if something had happened."""
    with shop.r.database.transaction() as db:
        db.execute(update(JOB).where(JOB.c.id == job_id).values(values))


def receive(shop: Workshop, body: bytes | None = None, **changes: Any) -> Claim:
    """A paid call whose answer is in the spool, and of which nobody has told."""
    shop.submit(**{"on_uncertain": "hold"} | changes)
    (claim,) = shop.take()
    (credential_id,) = shop.r.keyring.ids
    now = shop.r.database.now()
    with shop.r.database.transaction() as db:
        begun = attempts.begin(db, claim, now, credential_id=credential_id, owner=shop.r.owner)
    assert begun is not None
    assert begun.attempt_id is not None
    bytes_ = picture(256, 256) if body is None else body
    shop.r.spool.receive(begun.attempt_id, [bytes_], facts=PNG, max_bytes=1 << 20)
    return begun


def held(shop: Workshop, body: bytes | None = None) -> Claim:
    """The same, when it was given up as uncertain."""
    claim = receive(shop, body)
    change_job(shop, claim.id, state="held", held_for="uncertain", due_at=None, **FREE)
    return claim


def spooled(shop: Workshop) -> list[str]:
    return sorted(path.name for path in shop.r.spool.folder.glob("*.body"))


@pytest.mark.parametrize("was_told", [False, True])
def test_a_machine_that_returns_offers_what_it_received(
    pair: tuple[Workshop, Workshop], was_told: bool
) -> None:
    # Given a machine that was cut off with an answer, whose job was then given up elsewhere
    first, second = pair
    claim = receive(first)
    now = first.r.database.now()
    with first.r.database.transaction() as db:
        if was_told:
            settling.settle(db, claim, Received(), now)
        leases.rescue(db, now + 2 * HOUR)
    second.work()
    given_up = second.job(claim.id)

    # When it is back, and others go on
    taken = sweep_spool(first.r)
    second.work()

    # Then what was paid for is used, whoever was counted as dead
    assert (given_up.state, given_up.crashes) == ("held", int(was_told))
    assert taken == 1
    job = first.job(claim.id)
    assert (job.state, job.attempts, job.charged_milli) == ("succeeded", 1, job.estimated_milli)
    assert sweep_spool(first.r) == 0
    assert spooled(first) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "submitting"},
        {"state": "submitting", **FREE},
        {"state": "polling", **FREE},
        {"state": "storing", "crashes": 1, **FREE},
        {"state": "queued", "lease_owner": "dispatched"},
        {"state": "held", "lease_owner": "another"},
        {"state": "failed", "crashes": 3, "finished_at": LONG_AGO, "due_at": None, **FREE},
    ],
)
def test_what_others_are_at_or_are_to_look_at_is_not_touched(
    shop: Workshop, changes: dict[str, Any]
) -> None:
    claim = receive(shop)
    change_job(shop, claim.id, **changes)
    before = shop.job(claim.id)

    assert sweep_spool(shop.r) == 0

    assert shop.job(claim.id) == before
    assert len(spooled(shop)) == 1
    assert list(shop.r.storage.list("")) == []


def test_an_answer_that_is_young_is_left_to_those_who_received_it(shop: Workshop) -> None:
    claim = held(shop)

    assert sweep_spool(shop.r, YOUNG) == 0
    assert shop.job(claim.id).state == "held"

    (path,) = shop.r.spool.folder.glob("*.body")
    os.utime(path, (0, 0))
    assert sweep_spool(shop.r, YOUNG) == 1


def test_the_answer_of_a_job_that_failed_goes_to_the_bucket_once(shop: Workshop) -> None:
    claim = receive(shop)
    change_job(shop, claim.id, state="failed", finished_at=LONG_AGO, due_at=None, **FREE)

    assert sweep_spool(shop.r) == 0

    assert len(list(shop.r.storage.list(""))) == 1
    assert (shop.job(claim.id).state, spooled(shop)) == ("failed", [])


def test_an_answer_of_an_operation_of_tomorrow_stays_and_stops_no_other(shop: Workshop) -> None:
    strange, known = sorted((held(shop), held(shop)), key=lambda claim: str(claim.attempt_id))
    change_job(shop, strange.id, operation="generate/tomorrow")

    assert sweep_spool(shop.r) == 1

    assert (shop.job(strange.id).state, shop.job(known.id).state) == ("held", "storing")
    assert f"{strange.attempt_id}.body" in spooled(shop)


def test_damage_that_nobody_has_thought_of_stops_no_other(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = sorted((held(shop), held(shop)), key=lambda claim: str(claim.attempt_id))
    bring = sweeper.bring

    def stumbles(r: Any, found: Claim) -> bool:
        if found.id == first.id:
            raise ValueError("nobody has thought of this")
        return bring(r, found)

    monkeypatch.setattr(sweeper, "bring", stumbles)

    assert sweep_spool(shop.r) == 1
    assert shop.job(second.id).state == "storing"


def test_half_files_are_swept_out_of_the_bucket(
    shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "STALE", timedelta(0))
    shop.submit()
    shop.work()
    (incoming,) = tmp_path.rglob(".incoming")
    (incoming / "half").touch()

    sweep_spool(shop.r)

    assert list(incoming.iterdir()) == []


def test_a_bucket_that_was_away_gets_the_answer_at_a_later_sweep(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a worker that sweeps while the bucket is away
    def is_away(*_: object, **__: object) -> NoReturn:
        tries.append(1)
        raise StorageError("the bucket is away")

    tries: list[int] = []
    monkeypatch.setattr(sweeper, "EVERY_SECONDS", 0.01)
    monkeypatch.setattr(sweeper, "YOUNG", timedelta(0))
    claim = held(shop)
    thread = Thread(target=keep_sweeping, args=(shop.r,))
    with monkeypatch.context() as patched:
        patched.setattr(shop.r.storage, "put", is_away)
        thread.start()
        wait_until(lambda: len(tries) >= 5, "it was tried five times")

    # When the bucket is back
    wait_until(lambda: shop.job(claim.id).state == "storing", "the job has its answer")

    # Then the thread has not ended, and ends with the process
    shop.r.ended.set()
    thread.join(20)
    assert not thread.is_alive()


def test_a_database_that_was_away_does_not_end_the_sweeping(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a worker that sweeps while the database is away
    def is_away(*_: object) -> NoReturn:
        tries.append(1)
        raise OperationalError("SELECT", {}, Exception("away"))

    tries: list[int] = []
    monkeypatch.setattr(sweeper, "EVERY_SECONDS", 0.01)
    monkeypatch.setattr(sweeper, "YOUNG", timedelta(0))
    claim = held(shop)
    thread = Thread(target=keep_sweeping, args=(shop.r,))
    with monkeypatch.context() as patched:
        patched.setattr(sweeper, "find_job", is_away)
        thread.start()
        wait_until(lambda: len(tries) >= 3, "it was asked three times")

    # When it is back
    wait_until(lambda: shop.job(claim.id).state == "storing", "the job has its answer")

    shop.r.ended.set()
    thread.join(20)
    assert not thread.is_alive()


def test_bytes_that_killed_several_who_looked_at_them_are_left_alone(shop: Workshop) -> None:
    claim = held(shop)
    marks = shop.r.spool.folder / f"{claim.attempt_id}.marks"
    marks.write_bytes(b"." * MOST_CRASHES)

    assert sweep_spool(shop.r) == 0

    assert (shop.job(claim.id).state, len(spooled(shop))) == ("held", 1)
    marks.write_bytes(b"." * (MOST_CRASHES - 1))
    assert sweep_spool(shop.r) == 1
