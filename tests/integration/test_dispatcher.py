"""Only what can soon run is sent, and what could not be sent is due again: on real parts."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
from celery import Celery
from sqlalchemy import func, select, update

from jobs import credentials
from jobs.credentials import Keyring
from jobs.db import Database
from jobs.limiter.permits import Limiter, Permit, connect
from jobs.models import DISPATCHED
from jobs.queue import intake, leases
from jobs.queue.moves import BATCH, JOB
from jobs.settings import Rate, Settings, read_settings
from jobs.telemetry import Changes
from tests.factories import make_batch, new_job
from tests.servers import free_port
from workers.app import QUEUE, make_sender
from workers.dispatcher import LEAST_WAITING, MOST_IN_MESSAGE, Dispatcher

HOUR = timedelta(hours=1)
#: 15 requests a second, as Stability's 150 in 10 s.
WAITING = 15


class Post:
    """A database, a Redis, and dispatchers between them."""

    def __init__(self, database: Database, redis_url: str, home: Path) -> None:
        self.database = database
        self.redis_url = redis_url
        self.home = home
        self.redis = connect(redis_url)
        self.apps: list[Celery] = []
        self.keyring = Keyring(database, ["first"])
        self.limiter = Limiter(self.redis, self.settings().darkroom_rate)
        self.keyring.register()
        self.open(*self.keyring.ids)

    def settings(self, **changes: Any) -> Settings:
        chosen = {"redis_url": self.redis_url, "darkroom_home": self.home, **changes}
        return read_settings(_env_file=None, **chosen)

    def open(self, *credential_ids: str) -> None:
        for credential_id in credential_ids:
            self.limiter.open(credential_id, quiet=HOUR)

    def dispatcher(self, broker_url: str | None = None, **changes: Any) -> Dispatcher:
        app = make_sender(self.settings(**({"redis_url": broker_url} if broker_url else {})))
        self.apps.append(app)
        settings = self.settings(**changes)
        return Dispatcher(settings, self.database, self.limiter, self.keyring, app, Changes())

    def submit(self, number: int, batch_id: str | None = None, **changes: Any) -> list[str]:
        jobs = [new_job(row=row, **changes) for row in range(number)]
        now = self.database.now() - timedelta(seconds=1)
        with self.database.transaction() as db:
            return intake.submit(db, jobs, now, project_id="default", batch_id=batch_id)

    def messages(self) -> int:
        found = self.redis.keys(f"*{QUEUE}")
        return sum(int(self.redis.llen(key)) for key in found if self.redis.type(key) == b"list")

    def dispatched(self) -> set[str]:
        with self.database.reading() as db:
            wanted = select(JOB.c.id).where(JOB.c.lease_owner == DISPATCHED)
            return set(db.execute(wanted).scalars())

    def due(self) -> int:
        with self.database.reading() as db:
            count = select(func.count()).select_from(JOB).where(JOB.c.due_at.is_not(None))
            return int(db.execute(count).scalar_one())

    def close(self) -> None:
        for app in self.apps:
            app.close()
        self.redis.close()


@pytest.fixture
def post(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Post]:
    database = Database(database_url)
    made = Post(database, redis_url, tmp_path)
    yield made
    made.close()
    database.close()


def test_no_more_is_sent_than_can_soon_run(post: Post) -> None:
    post.submit(100)
    dispatcher = post.dispatcher()

    # It says that there is more to do, and does nothing more until some of it was begun.
    assert [dispatcher.step() for _ in range(3)] == [True, True, True]

    assert len(post.dispatched()) == WAITING
    assert post.due() == 100 - WAITING
    assert post.messages() == -(-WAITING // MOST_IN_MESSAGE)


def test_begun_jobs_make_room_for_others(post: Post) -> None:
    post.submit(100)
    dispatcher = post.dispatcher()
    dispatcher.step()
    with post.database.transaction() as db:
        taken = sorted(post_ids(db))[:5]
        leases.take(db, taken, post.database.now(), owner="worker", lease=HOUR)
        db.execute(update(JOB).where(JOB.c.id.in_(taken)).values(state="submitting"))

    dispatcher.step()

    assert len(post.dispatched()) == WAITING
    assert post.due() == 100 - WAITING - 5


def test_results_that_are_slow_to_arrive_hold_nobody_up(post: Post) -> None:
    # Given as many results as there is room for, which workers read at the moment,
    post.submit(100)
    dispatcher = post.dispatcher()
    dispatcher.step()
    with post.database.transaction() as db:
        db.execute(update(JOB).where(JOB.c.lease_owner == DISPATCHED).values(state="polling"))
        leases.take(db, post_ids(db), post.database.now(), owner="worker", lease=HOUR)

    # when it looks again, then the next ones are sent.
    dispatcher.step()
    assert len(post.dispatched()) == WAITING


def test_polls_that_wait_for_their_slots_leave_no_room(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a rate so slow that no slot comes during the test, and polls that wait for theirs,
    monkeypatch.setattr("workers.dispatcher.LONGEST", HOUR)
    post.limiter = Limiter(post.redis, Rate(requests=10, window=HOUR))
    for _ in range(LEAST_WAITING + 1):
        reserved = post.limiter.reserve(post.keyring.ids, longest=HOUR)
        assert isinstance(reserved, Permit)
    post.submit(100)

    # when it looks, then it says that there is more to do, and sends nothing.
    assert post.dispatcher(darkroom_rate="10/3600s").step() is True
    assert post.dispatched() == set()


def post_ids(db: Any) -> list[str]:
    """The ids of all dispatched jobs."""
    return list(db.execute(select(JOB.c.id).where(JOB.c.lease_owner == DISPATCHED)).scalars())


def test_a_slow_rate_still_fills_a_few_threads(post: Post) -> None:
    post.submit(100)

    post.dispatcher(darkroom_rate="30/10s").step()

    assert len(post.dispatched()) == LEAST_WAITING


@pytest.mark.parametrize(("rate", "sent"), [("1/10s", 1), ("10/10s", 3)])
def test_nobody_is_sent_whose_slot_is_too_far_away_to_wait_for(
    post: Post, rate: str, sent: int
) -> None:
    post.submit(100)

    post.dispatcher(darkroom_rate=rate).step()

    assert len(post.dispatched()) == sent


def test_no_more_is_in_flight_than_the_setting_says(post: Post) -> None:
    post.submit(100)
    dispatcher = post.dispatcher(darkroom_max_in_flight=3)

    dispatcher.step()
    dispatcher.step()

    assert len(post.dispatched()) == 3


def test_two_dispatchers_send_each_job_once(post: Post) -> None:
    ids = post.submit(10)
    first, second = post.dispatcher(), post.dispatcher()

    steps = [first.step(), second.step(), first.step(), second.step()]

    assert steps == [True, False, False, False]
    assert post.dispatched() == set(ids)
    assert post.messages() == 2


def test_what_the_broker_does_not_take_is_due_again(post: Post) -> None:
    ids = post.submit(10)
    post.dispatcher(broker_url=f"redis://127.0.0.1:{free_port()}/0").step()
    given_back = (post.dispatched(), post.due(), post.messages())

    post.dispatcher().step()

    assert given_back == (set(), 10, 0)
    assert post.dispatched() == set(ids)


def test_a_paused_batch_stays_and_others_go(post: Post) -> None:
    with post.database.transaction() as db:
        paused, running = make_batch(db), make_batch(db)
        db.execute(update(BATCH).where(BATCH.c.id == paused).values(paused_at=post.database.now()))
    waiting, going = post.submit(2, paused), post.submit(2, running)
    dispatcher = post.dispatcher()
    dispatcher.step()
    sent_while_paused = post.dispatched()
    with post.database.transaction() as db:
        db.execute(update(BATCH).values(paused_at=None))

    dispatcher.step()

    assert sent_while_paused == set(going)
    assert post.dispatched() == {*waiting, *going}


def test_the_paid_jobs_of_a_paused_batch_go_on(post: Post) -> None:
    with post.database.transaction() as db:
        paused = make_batch(db, paused_at=post.database.now())
    (job_id,) = post.submit(1, paused)
    with post.database.transaction() as db:
        db.execute(update(JOB).values(state="polling"))

    post.dispatcher().step()

    assert post.dispatched() == {job_id}


def test_higher_priorities_go_first(post: Post) -> None:
    post.submit(WAITING)
    urgent = post.submit(3, priority=5)

    post.dispatcher(darkroom_max_in_flight=3).step()

    assert post.dispatched() == set(urgent)


def test_nothing_is_sent_while_every_credential_is_frozen(post: Post) -> None:
    post.submit(3)
    for credential_id in post.keyring.ids:
        post.limiter.freeze(credential_id, HOUR)

    assert post.dispatcher().step() is False
    assert post.dispatched() == set()


def test_jobs_stay_in_the_queue_while_no_slot_is_near_enough_to_wait_for(post: Post) -> None:
    # Given a rate of one request in ten seconds, of which one was sent,
    post.submit(3)
    slow = Rate(requests=1, window=timedelta(seconds=10))
    post.limiter = Limiter(post.redis, slow)
    dispatcher = post.dispatcher(darkroom_rate="1/10s")
    (credential_id,) = post.keyring.ids
    permit = post.limiter.reserve([credential_id])
    assert isinstance(permit, Permit)

    # when the next slot is further away than anybody waits, then none is claimed to be put back;
    assert [dispatcher.step() for _ in range(3)] == [False, False, False]
    assert (post.dispatched(), post.messages()) == (set(), 0)

    # and one is sent once there is a slot for it.
    post.limiter.drop(permit)
    post.redis.hdel(f"darkroom:{{{credential_id}}}:state", "next")
    dispatcher.step()
    assert len(post.dispatched()) == 1


def test_nothing_is_sent_before_the_limiters_count_is_known(post: Post) -> None:
    post.submit(3)
    post.redis.flushall()

    assert post.dispatcher().step() is False
    assert post.dispatched() == set()


def test_nothing_is_sent_when_every_credential_is_stopped(post: Post) -> None:
    post.submit(3)
    stop_all(post, credentials.NO_FUNDS)

    post.dispatcher().step()

    assert post.dispatched() == set()


def in_states(post: Post) -> list[str]:
    """A job that was not begun, one whose result is asked for, and one that is being stored."""
    ids = post.submit(3)
    with post.database.transaction() as db:
        for job_id, state in zip(ids, ["queued", "polling", "storing"], strict=True):
            db.execute(update(JOB).where(JOB.c.id == job_id).values(state=state))
    return ids


def stop_all(post: Post, reason: str) -> None:
    """Stop every credential."""
    with post.database.transaction() as db:
        for credential_id in post.keyring.ids:
            credentials.stop(db, credential_id, reason, post.database.now())
    post.keyring.forget()


def test_a_credential_without_funds_pays_nothing_and_is_still_asked_for_results(
    post: Post,
) -> None:
    _, polled, stored = in_states(post)
    stop_all(post, credentials.NO_FUNDS)

    post.dispatcher().step()

    assert post.dispatched() == {polled, stored}


@pytest.mark.parametrize("reason", [credentials.BAD_KEY, credentials.BY_HAND])
def test_what_needs_no_permit_goes_on_while_every_credential_is_stopped(
    post: Post, reason: str
) -> None:
    _, _, stored = in_states(post)
    stop_all(post, reason)

    post.dispatcher().step()

    assert post.dispatched() == {stored}


def test_what_needs_no_permit_goes_on_while_every_credential_is_frozen(post: Post) -> None:
    _, _, stored = in_states(post)
    for credential_id in post.keyring.ids:
        post.limiter.freeze(credential_id, HOUR)

    post.dispatcher().step()

    assert post.dispatched() == {stored}


def test_a_credential_without_funds_makes_no_room_for_new_jobs(post: Post) -> None:
    # Given more jobs than two credentials have room for, of which one cannot pay,
    post.keyring = Keyring(post.database, ["first", uuid4().hex])
    post.keyring.register()
    post.open(*post.keyring.ids)
    with post.database.transaction() as db:
        credentials.stop(db, post.keyring.ids[0], credentials.NO_FUNDS, post.database.now())
    post.keyring.forget()
    post.submit(100)
    dispatcher = post.dispatcher()

    # when it looks twice, then there is more to do, and a second's work of the other is sent.
    assert [dispatcher.step() for _ in range(2)] == [True, True]
    assert len(post.dispatched()) == WAITING


def test_nothing_is_sent_where_no_credential_is_known(post: Post) -> None:
    in_states(post)
    post.keyring = Keyring(post.database, [])

    assert post.dispatcher().step() is False
    assert post.dispatched() == set()


def test_nothing_is_sent_when_redis_is_away(post: Post) -> None:
    post.submit(3)
    nobody = redis.Redis(unix_socket_path=str(post.home / "nobody.sock"))
    post.limiter = Limiter(nobody, post.settings().darkroom_rate)

    assert post.dispatcher().step() is False
    assert post.due() == 3


def test_a_paused_credential_pays_nothing_and_is_still_asked_for_results(post: Post) -> None:
    waiting, polled = post.submit(2)
    with post.database.transaction() as db:
        db.execute(update(JOB).where(JOB.c.id == polled).values(state="polling"))
        for credential_id in post.keyring.ids:
            credentials.pause(db, credential_id, post.database.now())
    post.keyring.forget()
    dispatcher = post.dispatcher()

    dispatcher.step()
    sent_while_paused = post.dispatched()
    with post.database.transaction() as db:
        for credential_id in post.keyring.ids:
            credentials.pause(db, credential_id, None)
    post.keyring.forget()
    dispatcher.step()

    assert sent_while_paused == {polled}
    assert post.dispatched() == {polled, waiting}


def test_an_urgent_job_is_the_next_one_while_bulk_fills_every_place(post: Post) -> None:
    # Given more bulk than there is room for, of which a second's worth is on its way,
    post.submit(100)
    dispatcher = post.dispatcher()
    dispatcher.step()
    bulk = post.dispatched()

    # When an urgent job comes, and one place becomes free,
    (urgent,) = post.submit(1, priority=10)
    with post.database.transaction() as db:
        taken = sorted(bulk)[:1]
        leases.take(db, taken, post.database.now(), owner="worker", lease=HOUR)
        db.execute(update(JOB).where(JOB.c.id.in_(taken)).values(state="submitting"))
    dispatcher.step()

    # Then it is sent, before all that waits, and never more than a second's worth is before it.
    assert post.dispatched() - bulk == {urgent}
    assert len(bulk) == WAITING


def test_a_broker_that_does_not_answer_is_asked_once(post: Post) -> None:
    post.submit(10)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        port = silent.getsockname()[1]

        post.dispatcher(broker_url=f"redis://127.0.0.1:{port}/0").step()

        calls = list(calls_of(silent))
    assert 1 <= len(calls) <= 2
    assert post.due() == 10


def calls_of(server: socket.socket) -> Iterator[str]:
    """Who called."""
    with suppress(BlockingIOError):
        while True:
            connection, address = server.accept()
            connection.close()
            yield str(address)


def test_two_credentials_have_room_for_twice_as_much(post: Post) -> None:
    post.keyring = Keyring(post.database, ["first", uuid4().hex])
    post.keyring.register()
    post.open(*post.keyring.ids)
    post.submit(100)

    post.dispatcher().step()

    assert len(post.dispatched()) == 2 * WAITING
