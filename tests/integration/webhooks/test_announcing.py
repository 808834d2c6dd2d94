"""From events to messages: each event becomes one for each endpoint, each end of a batch too."""

from typing import Any

import pytest
from sqlalchemy import select, update

from jobs import tallies
from jobs.db import Database
from jobs.models import DEFAULT_PROJECT
from jobs.outcomes import Received, Stored, Uncertain
from jobs.queue import desk
from jobs.queue.settling import settle
from jobs.states import JobState
from jobs.webhooks import endpoints
from jobs.webhooks.announcing import announce
from jobs.webhooks.endpoints import ENDPOINT
from tests.factories import NOW, fault, make_batch, make_job, read_claim, stored_output
from tests.integration.webhooks.telling import fail, finish, make_endpoint, rows, tell

S = JobState
ALL = "https://all.test/"


def ends(database: Database) -> list[Any]:
    return [row for row in rows(database) if row.type == "batch.finished"]


def test_each_event_is_told_once_to_each_who_wants_it(database: Database) -> None:
    make_endpoint(database, ALL)
    make_endpoint(database, "https://failures.test/", events=["job.failed"])
    finish(database, webhook_url="https://named.test/")
    finish(database, webhook_url=ALL)
    fail(database)
    with database.transaction() as db:
        other = read_claim(db, make_job(db, S.SUBMITTING, on_uncertain="hold"))
        settle(db, other, Uncertain(fault()), database.now())

    tell(database)
    tell(database)

    with database.reading() as db:
        urls = {row.id: row.url for row in db.execute(select(ENDPOINT))}
    assert sorted((urls[row.endpoint_id], row.type) for row in rows(database)) == [
        (ALL, "job.failed"),
        (ALL, "job.succeeded"),
        (ALL, "job.succeeded"),
        (ALL, "job.uncertain"),
        ("https://failures.test/", "job.failed"),
        ("https://named.test/", "job.succeeded"),
    ]


def test_what_is_undone_before_it_is_committed_is_told_later(database: Database) -> None:
    make_endpoint(database, ALL)
    finish(database)

    with database.connected() as db, db.begin() as transaction:
        assert announce(db, tallies.fold_events(db), database.now()) == 1
        transaction.rollback()

    assert rows(database) == []
    assert tell(database) == 1


def test_of_another_project_nothing_is_told(database: Database) -> None:
    make_endpoint(database, "https://other.test/", project_id="other")
    finish(database)

    assert tell(database) == 0


def test_an_answer_that_is_received_is_no_event(database: Database) -> None:
    make_endpoint(database, ALL)
    with database.transaction() as db:
        settle(db, read_claim(db, make_job(db, S.SUBMITTING)), Received(), database.now())

    assert tell(database) == 0


def test_to_a_disabled_endpoint_nothing_is_told(database: Database) -> None:
    endpoint_id = make_endpoint(database, ALL)
    with database.transaction() as db:
        endpoints.disable(db, endpoint_id, endpoints.BY_HAND, database.now())
    finish(database, webhook_url=ALL)

    assert tell(database) == 0


def test_a_batch_is_told_of_its_end_and_no_sooner(database: Database) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db, webhook_url=ALL, size=2, loaded_at=NOW)
    finish(database, batch_id=batch_id, row=0)
    with database.transaction() as db:
        last = make_job(db, S.STORING, batch_id=batch_id, row=1)
    assert tell(database) == 0

    with database.transaction() as db:
        settle(db, read_claim(db, last), Stored((stored_output(),)), database.now())
    tell(database)

    (row,) = rows(database)
    assert (row.type, row.subject_id) == ("batch.finished", batch_id)
    assert row.payload["data"]["counts"] == {"succeeded": 2}
    assert row.payload["data"]["id"] == batch_id


def test_of_one_end_whose_events_are_counted_piecemeal_is_told_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db, webhook_url=ALL, size=4, loaded_at=NOW)
    for row in range(4):
        finish(database, batch_id=batch_id, row=row)
    monkeypatch.setattr(tallies, "MOST_AT_ONCE", 2)

    while tallies_left(database):
        tell(database)

    assert len(ends(database)) == 1


def tallies_left(database: Database) -> bool:
    with database.reading() as db:
        return bool(db.execute(select(tallies.EVENT.c.id).where(~tallies.EVENT.c.tallied)).first())


def test_a_batch_that_fails_again_in_the_same_way_ends_again(database: Database) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db, webhook_url=ALL, size=1, loaded_at=NOW)
    job_id = fail(database, batch_id=batch_id, row=0)
    tell(database)

    with database.transaction() as db:
        desk.retry(db, DEFAULT_PROJECT, job_id, database.now())
    tell(database)
    assert len(ends(database)) == 1
    with database.transaction() as db:
        desk.cancel(db, DEFAULT_PROJECT, job_id, database.now())
    tell(database)

    assert [row.payload["data"]["counts"] for row in ends(database)] == [
        {"failed": 1},
        {"canceled": 1},
    ]


@pytest.mark.parametrize("size", [1, 2], ids=["all there", "one row is missing"])
def test_a_load_that_was_cut_off_behind_its_last_row_has_an_end(
    database: Database, size: int
) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db, webhook_url=ALL, size=size, loaded_at=None)
    finish(database, batch_id=batch_id, row=0)

    tell(database)

    assert len(ends(database)) == (1 if size == 1 else 0)


def test_an_address_that_jobs_named_long_ago_is_forgotten(database: Database) -> None:
    finish(database, webhook_url="https://old.test/")
    finish(database, webhook_url="https://unwanted.test/")
    make_endpoint(database, ALL)
    tell(database)
    with database.transaction() as db:
        db.execute(
            update(ENDPOINT)
            .where(ENDPOINT.c.url == "https://unwanted.test/")
            .values(disabled_at=NOW, disabled_reason=endpoints.BY_HAND)
        )
        assert endpoints.forget_named(db, database.now()) == 0
        db.execute(endpoints.DELIVERY.delete())

        assert endpoints.forget_named(db, database.now()) == 1

    with database.reading() as db:
        left = {row.url for row in db.execute(select(ENDPOINT))}
    assert left == {ALL, "https://unwanted.test/"}
