"""`/v1/events`: what happens, as it happens, and what was missed."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import requests
from sqlalchemy import insert, text

from jobs.db import Database
from jobs.feed import last_event, pass_over, read_on
from jobs.models import Event, table
from jobs.settings import Settings
from jobs.states import JobState
from tests.factories import make_job
from tests.integration.api.conftest import KeyMaker
from tests.integration.api.serving import Client, served
from tests.servers import wait_until

EVENT = table(Event)


@contextmanager
def listening(
    client: Client, batch: str | None = None, **headers: str
) -> Iterator[Iterator[tuple[str, Any]]]:
    """The events that come, each with its number; from when the server says that it listens."""
    params = {"batch": batch} if batch else {}
    with client.get("/v1/events", params=params, headers=headers, stream=True) as answer:
        assert answer.status_code == 200
        lines = (line.decode() for line in answer.iter_lines(chunk_size=1))
        assert next(lines) == ": listening"
        yield events_in(lines)


def events_in(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    number = ""
    for line in lines:
        name, _, value = line.partition(": ")
        if name == "id":
            number = value
        elif name == "data":
            yield number, json.loads(value)


def submit(client: Client) -> str:
    body = {"operation": "generate/core", "params": {"prompt": "x"}}
    job_id: str = client.post("/v1/jobs", json=body).json()["id"]
    return job_id


def submit_batch(client: Client) -> str:
    body = {"operation": "generate/core", "jobs": [{"params": {"prompt": "x"}}]}
    batch_id: str = client.post("/v1/batches", json=body).json()["id"]
    return batch_id


def is_following(client: Client) -> bool:
    return client.app.state.parts.bulletin.cursor is not None


def is_told(client: Client) -> bool:
    parts = client.app.state.parts
    with parts.database.reading() as db:
        return bool(parts.bulletin.cursor == last_event(db))


def test_changes_are_told_in_their_order(client: Client) -> None:
    wait_until(lambda: is_following(client), "the feed is followed")

    with listening(client) as events:
        job_id = submit(client)
        client.post(f"/v1/jobs/{job_id}/cancel")
        told = [next(events)[1] for _ in range(2)]

    assert [(event["job_id"], event["verb"], event["state"]) for event in told] == [
        (job_id, "submitted", "queued"),
        (job_id, "canceled", "canceled"),
    ]


def test_what_was_missed_is_told_first(client: Client) -> None:
    wait_until(lambda: is_following(client), "the feed is followed")
    with listening(client) as events:
        first = submit(client)
        number, event = next(events)
    assert event["job_id"] == first
    missed = [submit(client) for _ in range(3)]

    with listening(client, **{"last-event-id": number}) as events:
        live = submit(client)
        told = [next(events) for _ in range(4)]

    assert [event["job_id"] for _, event in told] == [*missed, live]
    assert [int(number) for number, _ in told] == sorted({int(number) for number, _ in told})


def test_what_was_missed_is_told_also_when_the_feed_begins_late(
    settings: Settings, database: Database, make_key: KeyMaker
) -> None:
    # Given a job, and a database that does not tell the events when the interface starts,
    with database.transaction() as db:
        job_id = make_job(db, JobState.QUEUED, project_id="acme")
        db.execute(text("ALTER TABLE event RENAME TO hidden"))
    with served(settings) as stranger:
        client = stranger.with_key(make_key())

        # when somebody asks for what was missed before it does,
        with client.get("/v1/events", headers={"last-event-id": "0"}, stream=True) as answer:
            with database.transaction() as db:
                db.execute(text("ALTER TABLE hidden RENAME TO event"))

            # then it is told as soon as it is known.
            lines = (line.decode() for line in answer.iter_lines(chunk_size=1))
            _, told = next(events_in(lines))
    assert (told["job_id"], told["verb"]) == (job_id, "submitted")


def test_nobody_hears_of_another_project(client: Client, neighbour: Client) -> None:
    wait_until(lambda: is_following(client), "the feed is followed")

    with listening(neighbour, **{"last-event-id": "0"}) as events:
        submit(client)
        own = submit(neighbour)
        told = next(events)[1]

    assert told["job_id"] == own


def test_a_batchs_listener_hears_of_its_jobs_only(client: Client) -> None:
    wait_until(lambda: is_following(client), "the feed is followed")
    mine, _other = submit_batch(client), submit_batch(client)
    wait_until(lambda: is_told(client), "all of it was told")

    with listening(client, mine, **{"last-event-id": "0"}) as events:
        submit(client)
        submit_batch(client)
        client.post(f"/v1/batches/{mine}/cancel")
        told = [next(events)[1] for _ in range(3)]

    assert [event["verb"] for event in told] == ["submitted", "started", "canceled"]
    assert len({event["job_id"] for event in told}) == 1


def test_a_batch_that_is_not_there_is_not_listened_to(client: Client, neighbour: Client) -> None:
    for batch in (submit_batch(client), "0" * 26):
        answer = neighbour.get("/v1/events", params={"batch": batch}, stream=True)

        assert answer.status_code == 404


def test_a_listener_is_let_go_when_the_server_stops(client: Client) -> None:
    with client.get("/v1/events", stream=True) as answer:
        lines = answer.iter_lines(chunk_size=1)
        next(lines)
        bulletin = client.app.state.parts.bulletin

        bulletin.loop.call_soon_threadsafe(bulletin.close)

        assert all(line in {b""} for line in lines)


def test_a_number_that_may_still_come_is_waited_for(database: Database) -> None:
    now = database.now()
    with database.transaction() as db:
        make_job(db, JobState.QUEUED, id="a" * 26)
        row = {"job_id": "a" * 26, "project_id": "default", "verb": "v", "target": "queued"}
        db.execute(insert(EVENT), row | {"id": 3, "at": now})

    with database.reading() as db:
        soon = read_on(db, 1, now + timedelta(seconds=1))
        late = read_on(db, 1, now + timedelta(minutes=1))

    assert ([event.id for event in soon.changed], soon.told, soon.cursor) == ([3], [], 1)
    assert ([event.id for event in late.told], late.cursor) == ([3], 3)


def test_what_nobody_hears_is_passed_over_as_far_as_no_number_is_missing(
    database: Database,
) -> None:
    with database.transaction() as db:
        for name in "ab":
            make_job(db, JobState.QUEUED, id=name * 26)
    with database.reading() as db:
        last = last_event(db)
        assert pass_over(db, 0) == last
        assert pass_over(db, last) == last

    with database.transaction() as db:
        row = {"job_id": "a" * 26, "project_id": "default", "verb": "v", "target": "queued"}
        db.execute(insert(EVENT), row | {"id": last + 2, "at": database.now()})
    with database.reading() as db:
        assert pass_over(db, last) == last


def test_a_last_event_id_that_is_no_number_is_refused(client: Client) -> None:
    answer: requests.Response = client.get("/v1/events", headers={"last-event-id": "x"})

    assert answer.status_code == 422
    assert [fault["field"] for fault in answer.json()["faults"]] == ["header.last-event-id"]
