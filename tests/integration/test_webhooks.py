"""Webhooks: each event becomes one message for each endpoint, and no receiver hurts anybody."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from jobs import batches, tallies
from jobs.db import Database
from jobs.models import DEFAULT_PROJECT, Batch, table
from jobs.outcomes import Received, Refused, Stored, Uncertain
from jobs.queue.settling import settle
from jobs.settings import Settings, read_settings
from jobs.states import JobState
from jobs.webhooks import deliveries, endpoints
from jobs.webhooks.announcing import announce
from jobs.webhooks.deliveries import PAUSES, Answer
from jobs.webhooks.endpoints import DELIVERY, ENDPOINT
from jobs.webhooks.secrets import OVERLAP, open_signer
from tests.factories import NOW, fault, make_batch, make_job, read_claim, stored_output
from tests.functional.darkroom import REPOSITORY
from tests.integration.receiver import Receiver
from tests.servers import wait_until
from workers.maintenance.messenger import Messenger

S = JobState
DAY = timedelta(days=1)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        yield server


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return read_settings(
        _env_file=None,
        database_url=database_url,
        darkroom_home=tmp_path / "home",
        darkroom_allow_private_addresses=True,
    )


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = Database(settings.database_address)
    yield opened
    opened.close()


@pytest.fixture
def messenger(settings: Settings, database: Database) -> Iterator[Messenger]:
    made = Messenger(settings, database)
    yield made
    made.close()


def make_endpoint(database: Database, url: str, **options: Any) -> str:
    with database.transaction() as db:
        return endpoints.create(db, DEFAULT_PROJECT, url, database.now(), **options)


def finish(database: Database, **columns: Any) -> str:
    """A job that has just succeeded."""
    with database.transaction() as db:
        job_id = make_job(db, S.STORING, **columns)
        settle(db, read_claim(db, job_id), Stored((stored_output(),)), database.now())
    return job_id


def tell(database: Database) -> int:
    """What the beat does every second."""
    now = database.now()
    with database.transaction() as db:
        return announce(db, tallies.fold_events(db), now)


def rows(database: Database) -> list[Any]:
    with database.reading() as db:
        return list(db.execute(select(DELIVERY).order_by(DELIVERY.c.id)))


def deliver(messenger: Messenger, done: Callable[[], bool]) -> None:
    """Let the messenger work until that is so."""

    def is_done() -> bool:
        messenger.step()
        return done()

    wait_until(is_done, "the messages are delivered")


def test_a_message_is_signed_and_holds_the_job(
    database: Database, messenger: Messenger, receiver: Receiver, settings: Settings
) -> None:
    endpoint_id = make_endpoint(database, receiver.url)
    job_id = finish(database)

    assert tell(database) == 1
    deliver(messenger, lambda: all(row.delivered_at for row in rows(database)))

    ((headers, body),) = receiver.messages
    secret = open_signer(settings).secret(endpoint_id, 0)
    told = Webhook(secret).verify(body, headers)
    assert (told["type"], told["data"]["id"]) == ("job.succeeded", job_id)
    assert told["data"]["outputs"][0]["url"].startswith("/v1/jobs/")
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body.replace("succeeded", "failed"), headers)


def test_each_event_is_told_once_to_each_who_wants_it(database: Database) -> None:
    make_endpoint(database, "https://all.test/")
    make_endpoint(database, "https://failures.test/", events=["job.failed"])
    finish(database, webhook_url="https://named.test/")
    finish(database, webhook_url="https://all.test/")
    with database.transaction() as db:
        claim = read_claim(db, make_job(db, S.SUBMITTING))
        settle(db, claim, Refused(fault("no")), database.now())
        other = read_claim(db, make_job(db, S.SUBMITTING, on_uncertain="hold"))
        settle(db, other, Uncertain(fault()), database.now())

    tell(database)
    tell(database)

    with database.reading() as db:
        urls = {row.id: row.url for row in db.execute(select(ENDPOINT))}
    found = sorted((urls[row.endpoint_id], row.type) for row in rows(database))
    assert found == [
        ("https://all.test/", "job.failed"),
        ("https://all.test/", "job.succeeded"),
        ("https://all.test/", "job.succeeded"),
        ("https://all.test/", "job.uncertain"),
        ("https://failures.test/", "job.failed"),
        ("https://named.test/", "job.succeeded"),
    ]


def test_of_another_project_nothing_is_told(database: Database) -> None:
    with database.transaction() as db:
        endpoints.create(db, "other", "https://other.test/", database.now())
    finish(database)

    assert tell(database) == 0


def test_a_batch_is_told_of_its_end_and_no_sooner(database: Database) -> None:
    url = "https://batch.test/"
    with database.transaction() as db:
        batch_id = make_batch(db, webhook_url=url, size=2, loaded_at=NOW)
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
    with database.reading() as db:
        assert batches.get_batch(db, DEFAULT_PROJECT, batch_id).webhook_url == url
        assert table(Batch).c.webhook_url is not None


def test_after_a_rotation_both_secrets_sign_for_a_day(
    database: Database, settings: Settings
) -> None:
    endpoint_id = make_endpoint(database, "https://a.test/")
    with database.transaction() as db:
        endpoints.rotate(db, endpoints.get(db, DEFAULT_PROJECT, endpoint_id), NOW)
        found = endpoints.get(db, DEFAULT_PROJECT, endpoint_id)
    signer = open_signer(settings)

    assert signer.valid(found, NOW) == [
        signer.secret(endpoint_id, 1),
        signer.secret(endpoint_id, 0),
    ]
    assert signer.valid(found, NOW + OVERLAP) == [signer.secret(endpoint_id, 1)]


def test_what_fails_is_tried_for_three_days_and_can_be_told_again(database: Database) -> None:
    endpoint_id = make_endpoint(database, "https://a.test/")
    finish(database)
    tell(database)
    now, gone_by = database.now(), timedelta(0)

    for _ in range(len(PAUSES) + 1):
        with database.transaction() as db:
            (row,) = db.execute(select(DELIVERY)).all()
            assert row.ended_at is None
            deliveries.settle(db, row, Answer(500, text="no"), now)
            due_at = db.execute(select(DELIVERY.c.due_at)).scalar_one()
        gone_by, now = gone_by + (due_at - now if due_at > now else timedelta(0)), max(now, due_at)

    (row,) = rows(database)
    assert row.ended_at is not None
    assert (row.delivered_at, row.last_status, row.last_answer) == (None, 500, "no")
    assert timedelta(days=2.5) < gone_by < timedelta(days=3.5)
    with database.transaction() as db:
        assert deliveries.replay_failed(db, endpoint_id, row.created_at, now) == 1
    assert rows(database)[0].ended_at is None


@pytest.mark.parametrize(
    ("status", "age", "reason"),
    [(410, timedelta(0), "it answered 410 Gone"), (500, 6 * DAY, "nothing has arrived for 5 days")],
    ids=["gone", "long failure"],
)
def test_an_endpoint_that_will_not_come_back_is_disabled(
    database: Database, status: int, age: timedelta, reason: str
) -> None:
    endpoint_id = make_endpoint(database, "https://a.test/")
    finish(database)
    finish(database)
    tell(database)
    now = database.now()
    with database.transaction() as db:
        since = {"failing_since": now - age if age else None}
        db.execute(update(ENDPOINT).values(**since))
        deliveries.settle(db, db.execute(select(DELIVERY)).first(), Answer(status), now)  # type: ignore[arg-type]

    with database.reading() as db:
        assert endpoints.get(db, DEFAULT_PROJECT, endpoint_id).disabled_reason == reason
    assert all(row.ended_at for row in rows(database))
    finish(database)
    assert tell(database) == 0


def test_a_receiver_may_ask_for_more_time(
    database: Database, messenger: Messenger, receiver: Receiver
) -> None:
    make_endpoint(database, receiver.url)
    receiver.status, receiver.headers = 503, {"retry-after": "3600"}
    finish(database)
    tell(database)

    deliver(messenger, lambda: rows(database)[0].tries == 1)

    row = rows(database)[0]
    assert row.due_at > database.now() + timedelta(minutes=50)
    assert row.last_status == 503


def test_a_redirect_is_not_followed(
    database: Database, messenger: Messenger, receiver: Receiver
) -> None:
    with Receiver() as elsewhere:
        receiver.status, receiver.headers = 302, {"location": elsewhere.url}
        make_endpoint(database, receiver.url)
        finish(database)
        tell(database)

        deliver(messenger, lambda: rows(database)[0].tries == 1)

        assert not elsewhere.messages
    assert rows(database)[0].last_status == 302


def test_a_private_address_is_not_called(
    database: Database, settings: Settings, receiver: Receiver
) -> None:
    strict = settings.model_copy(update={"darkroom_allow_private_addresses": False})
    messenger = Messenger(strict, database)
    make_endpoint(database, receiver.url.replace("http://", "https://"))
    finish(database)
    tell(database)

    deliver(messenger, lambda: rows(database)[0].tries == 1)
    messenger.close()

    assert "address_refused" in rows(database)[0].last_error
    assert not receiver.messages


def test_a_receiver_that_hangs_keeps_no_other_waiting(
    database: Database, messenger: Messenger, receiver: Receiver
) -> None:
    receiver.released.clear()
    make_endpoint(database, receiver.url, events=["job.failed"])
    with ExitStack() as stack:
        quick = stack.enter_context(Receiver())
        make_endpoint(database, quick.url, events=["job.succeeded"])
        with database.transaction() as db:
            for _ in range(30):
                claim = read_claim(db, make_job(db, S.SUBMITTING))
                settle(db, claim, Refused(fault("no")), database.now())
        for _ in range(10):
            finish(database)
        tell(database)

        deliver(messenger, lambda: len(quick.messages) == 10)

        assert len(receiver.messages) <= deliveries.MOST_TO_ONE


RUN = """
import sys
from threading import Event
from jobs.db import Database
from jobs.settings import read_settings
from workers.maintenance.messenger import Messenger
url, home = sys.argv[1:]
settings = read_settings(
    _env_file=None, database_url=url, darkroom_home=home, darkroom_allow_private_addresses=True
)
Messenger(settings, Database(settings.database_address)).run(Event())
"""


def test_nothing_is_lost_when_the_messenger_is_killed(
    database: Database, settings: Settings, receiver: Receiver
) -> None:
    make_endpoint(database, receiver.url)
    ids = [finish(database) for _ in range(12)]
    tell(database)
    command = [sys.executable, "-c", RUN, settings.database_address, str(settings.home)]

    # Given a messenger that is killed with messages on their way,
    receiver.released.clear()
    first = subprocess.Popen(command, cwd=REPOSITORY)
    wait_until(lambda: len(receiver.messages) >= 1, "a message is on its way")
    first.send_signal(signal.SIGKILL)
    first.wait()
    receiver.released.set()

    # when its leases have run out and another one works,
    with database.transaction() as db:
        db.execute(update(DELIVERY).values(due_at=database.now()))
    second = subprocess.Popen(command, cwd=REPOSITORY)
    try:
        wait_until(
            lambda: all(row.delivered_at for row in rows(database)), "all have arrived", seconds=60
        )
    finally:
        second.kill()
        second.wait()

    # then every event was told, under the same id each time.
    told = {headers["webhook-id"]: json.loads(body) for headers, body in receiver.messages}
    assert sorted(message["data"]["id"] for message in told.values()) == sorted(ids)


def test_old_deliveries_are_forgotten(database: Database) -> None:
    make_endpoint(database, "https://a.test/")
    finish(database)
    tell(database)
    later: datetime = database.now() + timedelta(days=31)
    with database.transaction() as db:
        assert deliveries.forget_old(db, later) == 0
        db.execute(update(DELIVERY).values(ended_at=database.now()))
        assert deliveries.forget_old(db, later) == 1


def test_an_answer_that_is_received_is_no_event(database: Database) -> None:
    make_endpoint(database, "https://a.test/")
    with database.transaction() as db:
        settle(db, read_claim(db, make_job(db, S.SUBMITTING)), Received(), database.now())

    assert tell(database) == 0
