"""Messages on real sockets: nothing is lost, and no receiver hurts anybody."""

import json
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from jobs.db import Database
from jobs.models import DEFAULT_PROJECT
from jobs.settings import Settings
from jobs.webhooks import seals, sending
from jobs.webhooks.endpoints import DELIVERY
from jobs.webhooks.secrets import Signer
from tests.functional.darkroom import REPOSITORY
from tests.integration.receiver import Receiver
from tests.integration.webhooks.telling import (
    NOBODY,
    deliver,
    fail,
    finish,
    make_endpoint,
    rows,
    tell,
)
from tests.servers import wait_until
from tests.sockets import Caller, scripted
from workers.maintenance import messenger as messengers
from workers.maintenance.messenger import Messenger


def test_a_message_is_signed_and_holds_the_job(
    database: Database, messenger: Messenger, receiver: Receiver, signer: Signer
) -> None:
    endpoint_id = make_endpoint(database, receiver.url, signer)
    job_id = finish(database)

    assert tell(database) == 1
    deliver(messenger, lambda: all(row.delivered_at for row in rows(database)))

    ((headers, body),) = receiver.messages
    secret = signer.secret(endpoint_id, 0)
    told = Webhook(secret).verify(body, headers)
    assert (told["type"], told["data"]["id"]) == ("job.succeeded", job_id)
    assert told["data"]["outputs"][0]["url"].startswith("/v1/jobs/")
    assert headers["webhook-id"] == rows(database)[0].id
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body.replace("succeeded", "failed"), headers)


class StoodStill:
    """A clock of leases eight hours behind: the machine stood still, and its own was set since."""

    def now(self) -> datetime:
        return datetime.now(UTC) - timedelta(hours=8)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_message_is_of_the_moment_that_its_receiver_sees(
    database: Database,
    messenger: Messenger,
    receiver: Receiver,
    signer: Signer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(database, "_clock", StoodStill())
    endpoint_id = make_endpoint(database, receiver.url, signer)
    finish(database)
    tell(database)

    deliver(messenger, lambda: bool(rows(database)[0].delivered_at))

    ((headers, body),) = receiver.messages
    assert Webhook(signer.secret(endpoint_id, 0)).verify(body, headers)


def test_what_a_job_names_is_signed_with_the_projects_secret(
    database: Database, messenger: Messenger, receiver: Receiver, signer: Signer
) -> None:
    with database.transaction() as db:
        seal = seals.show_project(db, DEFAULT_PROJECT, signer)
    finish(database, webhook_url=receiver.url)
    tell(database)

    deliver(messenger, lambda: bool(rows(database)[0].delivered_at))

    ((headers, body),) = receiver.messages
    assert Webhook(signer.secret(seal.owner, 0)).verify(body, headers)


def test_nothing_is_sent_with_a_signature_that_nobody_can_check(
    database: Database, messenger: Messenger, receiver: Receiver
) -> None:
    make_endpoint(database, receiver.url, NOBODY)
    finish(database)
    tell(database)

    deliver(messenger, lambda: rows(database)[0].tries == 1)

    assert "DARKROOM_SECRET_KEY" in rows(database)[0].last_error
    assert receiver.messages == []


def test_a_receiver_may_ask_for_more_time(
    database: Database, messenger: Messenger, receiver: Receiver, signer: Signer
) -> None:
    make_endpoint(database, receiver.url, signer)
    receiver.status, receiver.headers = 503, {"retry-after": "3600"}
    finish(database)
    tell(database)

    deliver(messenger, lambda: rows(database)[0].tries == 1)

    row = rows(database)[0]
    assert row.due_at > database.now() + timedelta(minutes=50)
    assert row.last_status == 503


def test_a_redirect_is_not_followed(
    database: Database, messenger: Messenger, receiver: Receiver, signer: Signer
) -> None:
    with Receiver() as elsewhere:
        receiver.status, receiver.headers = 302, {"location": elsewhere.url}
        make_endpoint(database, receiver.url, signer)
        finish(database)
        tell(database)

        deliver(messenger, lambda: rows(database)[0].tries == 1)

        assert not elsewhere.messages
    assert rows(database)[0].last_status == 302


def test_a_private_address_is_not_called(
    database: Database, settings: Settings, receiver: Receiver, signer: Signer
) -> None:
    strict = settings.model_copy(update={"darkroom_allow_private_addresses": False})
    messenger = Messenger(strict, database)
    make_endpoint(database, receiver.url.replace("http://", "https://"), signer)
    finish(database)
    tell(database)

    deliver(messenger, lambda: rows(database)[0].tries == 1)
    messenger.close()

    assert "address_refused" in rows(database)[0].last_error
    assert not receiver.messages


def test_a_status_counts_however_the_answer_goes_on(
    database: Database, messenger: Messenger, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def say_ok_and_hold(caller: Caller) -> None:
        caller.read_request()
        caller.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nthan")
        caller.hold()

    monkeypatch.setattr(sending, "SECONDS", 0.5)
    with scripted(say_ok_and_hold) as server:
        make_endpoint(database, f"http://127.0.0.1:{server.port}/", signer)
        finish(database)
        tell(database)

        deliver(messenger, lambda: rows(database)[0].tries == 1)

    row = rows(database)[0]
    assert (row.last_status, row.delivered_at is not None) == (200, True)


def test_of_a_long_answer_a_little_is_kept(
    database: Database, messenger: Messenger, signer: Signer
) -> None:
    def answer_at_length(caller: Caller) -> None:
        caller.read_request()
        caller.answer(500, b"\0no" * 1_000)

    with scripted(answer_at_length) as server:
        make_endpoint(database, f"http://127.0.0.1:{server.port}/", signer)
        finish(database)
        tell(database)

        deliver(messenger, lambda: rows(database)[0].tries == 1)

    kept = rows(database)[0].last_answer
    assert kept.startswith("nono")
    assert len(kept) < sending.KEPT_BYTES


def test_receivers_that_hang_keep_no_other_waiting(
    database: Database, messenger: Messenger, receiver: Receiver, signer: Signer
) -> None:
    receiver.released.clear()
    hosts = [receiver.url, receiver.url.replace("127.0.0.1", "localhost")]
    for _ in range(30):
        fail(database, webhook_url=hosts[0])
        fail(database, webhook_url=hosts[1])
    with Receiver() as quick:
        make_endpoint(database, quick.url, signer, events=["job.succeeded"])
        for _ in range(10):
            finish(database)
        tell(database)

        deliver(messenger, lambda: len(quick.messages) == 10)

    assert len(receiver.messages) < messengers.THREADS


def test_a_message_that_cannot_be_made_counts_its_tries(
    database: Database,
    messenger: Messenger,
    receiver: Receiver,
    signer: Signer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_endpoint(database, receiver.url, signer)
    finish(database)
    tell(database)
    monkeypatch.setattr(sending, "KEPT_BYTES", "a slip of the pen")

    deliver(messenger, lambda: rows(database)[0].tries == 1)

    assert rows(database)[0].last_error.startswith("internal")


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
    database: Database, settings: Settings, receiver: Receiver, signer: Signer
) -> None:
    make_endpoint(database, receiver.url, signer)
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
        wait_until(lambda: all(row.delivered_at for row in rows(database)), "all have arrived")
    finally:
        second.kill()
        second.wait()

    # then every event was told, under the same id each time.
    told = {headers["webhook-id"]: json.loads(body) for headers, body in receiver.messages}
    assert sorted(message["data"]["id"] for message in told.values()) == sorted(ids)
