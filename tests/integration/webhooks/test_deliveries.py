"""The queue of deliveries: whose turn it is, when it is tried again, when it is given up."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from jobs.db import Database
from jobs.errors import Conflict
from jobs.models import DEFAULT_PROJECT
from jobs.webhooks import deliveries, endpoints, journal
from jobs.webhooks.deliveries import MOST_TO_ONE, PAUSES, Answer, Counter, Room
from jobs.webhooks.endpoints import DELIVERY, ENDPOINT
from tests.integration.webhooks.telling import finish, make_endpoint, rows, tell

DAY = timedelta(days=1)
URL = "https://a.test/"
ROOMY = Room(all=100, doubtful=100, by_host=Counter())


def claimed(database: Database, room: Room = ROOMY) -> list[str]:
    """The addresses of what is taken."""
    with database.transaction() as db:
        found = deliveries.claim(db, database.now(), room)
    return sorted(errand.endpoint.url for errand in found)


def failing(database: Database, since: datetime | None) -> None:
    with database.transaction() as db:
        db.execute(update(ENDPOINT).values(failing_since=since))


def only(database: Database) -> Any:
    (row,) = rows(database)
    return row


def test_what_is_taken_is_left_alone_until_its_lease_runs_out(database: Database) -> None:
    make_endpoint(database, URL)
    finish(database)
    tell(database)

    assert claimed(database) == [URL]
    assert claimed(database) == []
    with database.transaction() as db:
        later = database.now() + deliveries.LEASE + timedelta(seconds=1)
        assert len(deliveries.claim(db, later, ROOMY)) == 1


def test_to_one_host_few_are_on_their_way_at_once_whatever_its_addresses(
    database: Database,
) -> None:
    for number in range(10):
        finish(database, webhook_url=f"https://a.test/{number}")
    finish(database, webhook_url="https://b.test/")
    tell(database)

    first = claimed(database)
    busy = Room(all=100, doubtful=100, by_host=Counter({"a.test": MOST_TO_ONE}))

    assert len([url for url in first if "a.test" in url]) == MOST_TO_ONE
    assert "https://b.test/" in first
    assert claimed(database, busy) == []


def test_endpoints_that_fail_get_only_their_share(database: Database) -> None:
    for number in range(6):
        finish(database, webhook_url=f"https://fails{number}.test/")
    tell(database)
    failing(database, database.now())
    finish(database, webhook_url="https://works.test/")
    tell(database)

    taken = claimed(database, Room(all=100, doubtful=2, by_host=Counter()))
    more = claimed(database, Room(all=100, doubtful=0, by_host=Counter()))

    assert len(taken) == 3
    assert "https://works.test/" in taken
    assert more == []


def test_what_fails_is_tried_for_three_days_and_can_be_told_again(database: Database) -> None:
    endpoint_id = make_endpoint(database, URL)
    finish(database)
    tell(database)
    now, gone_by = database.now(), timedelta(0)

    for _ in range(len(PAUSES) + 1):
        row = only(database)
        assert row.ended_at is None
        with database.transaction() as db:
            deliveries.settle(db, row, Answer(500, text="no"), now)
        due_at = only(database).due_at
        gone_by, now = gone_by + max(due_at - now, timedelta(0)), max(now, due_at)

    row = only(database)
    assert row.ended_at is not None
    assert (row.delivered_at, row.last_status, row.last_answer) == (None, 500, "no")
    assert timedelta(days=2.5) < gone_by < timedelta(days=3.5)
    with database.transaction() as db:
        found = endpoints.get(db, DEFAULT_PROJECT, endpoint_id)
        assert journal.replay_failed(db, found, row.created_at, now) == 1
    assert only(database).ended_at is None


def test_one_who_comes_back_late_does_not_undo_what_others_settled(database: Database) -> None:
    make_endpoint(database, URL)
    finish(database)
    tell(database)
    stale = only(database)
    with database.transaction() as db:
        deliveries.settle(db, stale, Answer(204), database.now())

    with database.transaction() as db:
        deliveries.settle(db, stale, Answer(None, error="late"), database.now())

    row = only(database)
    assert (row.delivered_at is None, row.last_status, row.last_error) == (False, 204, None)


@pytest.mark.parametrize(
    ("status", "age", "reason"),
    [(410, None, "it answered 410 Gone"), (500, 6 * DAY, "nothing has arrived for 5 days")],
    ids=["gone", "long failure"],
)
def test_an_endpoint_that_will_not_come_back_is_disabled(
    database: Database, status: int, age: timedelta | None, reason: str
) -> None:
    endpoint_id = make_endpoint(database, URL)
    finish(database)
    finish(database)
    tell(database)
    now = database.now()
    failing(database, now - age if age else None)

    with database.transaction() as db:
        deliveries.settle(db, rows_in(db)[0], Answer(status), now)

    with database.reading() as db:
        found = endpoints.get(db, DEFAULT_PROJECT, endpoint_id)
    assert found.disabled_reason == reason
    assert all(row.ended_at for row in rows(database))
    finish(database)
    assert tell(database) == 0
    with database.transaction() as db, pytest.raises(Conflict, match="enable it first"):
        journal.replay(db, rows_in(db)[0], now)
    with database.transaction() as db, pytest.raises(Conflict, match="enable it first"):
        journal.tell_test(db, found, now)


def rows_in(db: Any) -> list[Any]:
    return list(db.execute(select(DELIVERY).order_by(DELIVERY.c.id)))


def test_one_success_ends_a_time_of_failures(database: Database) -> None:
    endpoint_id = make_endpoint(database, URL)
    finish(database)
    tell(database)
    failing(database, database.now() - 4 * DAY)

    with database.transaction() as db:
        deliveries.settle(db, rows_in(db)[0], Answer(200), database.now())

    with database.reading() as db:
        assert endpoints.get(db, DEFAULT_PROJECT, endpoint_id).failing_since is None


def test_old_deliveries_are_forgotten(database: Database) -> None:
    make_endpoint(database, URL)
    finish(database)
    tell(database)
    later = database.now() + timedelta(days=31)

    with database.transaction() as db:
        assert journal.forget_old(db, later) == 0
        db.execute(update(DELIVERY).values(ended_at=database.now()))
        assert journal.forget_old(db, later) == 1


def test_an_endpoint_is_removed_with_all_that_was_told_to_it(database: Database) -> None:
    endpoint_id = make_endpoint(database, URL)
    finish(database)
    tell(database)

    with database.transaction() as db:
        endpoints.remove(db, endpoint_id)

    assert rows(database) == []
    finish(database)
    assert tell(database) == 0
