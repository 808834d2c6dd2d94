"""A worker gets the inputs that lie elsewhere, before anything is paid."""

import hashlib
import io
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import boto3
import pytest
from sqlalchemy import func, select, update

from jobs import uploads
from jobs.assets import add_image
from jobs.downloads import Limits
from jobs.fetches import FETCH
from jobs.models import Asset, table
from jobs.queue import desk, leases
from jobs.queue.moves import JOB
from jobs.references import WebReference
from jobs.uploads import UPLOAD
from tests.faults.waiting import until
from tests.integration.sandbox.caller import Caller, picture
from tests.integration.workshop import Workshop, workshop
from tests.sockets import Caller as Guest
from tests.sockets import Script, Server, scripted
from workers.fetching import Busy, FetchDesk
from workers.maintenance.forgetter import forget_inputs

ASSET = table(Asset)
PICTURE = picture(256, 256)
UPSCALE = "upscale/fast"
#: Nothing here takes so many seconds.
PATIENCE = 20.0


@pytest.fixture
def both(api: Caller, database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Workshop]:
    """A worker on each database, in a house that may call itself."""
    with in_house(api, database_url, redis_url, tmp_path) as made:
        yield made


@pytest.fixture
def shop(api: Caller, sqlite_url: str, redis_url: str, tmp_path: Path) -> Iterator[Workshop]:
    """The same on SQLite, for what has nothing to do with the database."""
    with in_house(api, sqlite_url, redis_url, tmp_path) as made:
        yield made


@contextmanager
def in_house(api: Caller, database_url: str, redis_url: str, home: Path) -> Iterator[Workshop]:
    with workshop(
        api,
        database_url=database_url,
        redis_url=redis_url,
        home=home,
        darkroom_allow_private_addresses=True,
    ) as made:
        patient(made)
        yield made


def patient(shop: Workshop) -> None:
    """Let jobs wait for their fetches, however busy the machine is."""
    shop.r.fetches = FetchDesk(shop.r.fetches.fetcher, threads=8, patience_seconds=PATIENCE)


@pytest.fixture
def strict(api: Caller, sqlite_url: str, redis_url: str, tmp_path: Path) -> Iterator[Workshop]:
    """A worker that may only call public hosts."""
    with workshop(api, database_url=sqlite_url, redis_url=redis_url, home=tmp_path) as made:
        patient(made)
        yield made


@pytest.fixture
def host() -> Iterator[Server]:
    """A host with a picture."""
    with scripted(answering(200, PICTURE)) as server:
        yield server


def answering(status: int, body: bytes = b"") -> Script:
    def script(guest: Guest) -> None:
        guest.read_request()
        guest.answer(status, body)

    return script


def ordered(shop: Workshop, reference: str) -> str:
    return shop.submit(UPSCALE, params={}, inputs={"image": reference})


def test_an_address_is_fetched_and_kept_as_an_asset(both: Workshop, host: Server) -> None:
    job_id = ordered(both, f"{host.address}/a.png")

    both.work()

    assert both.job(job_id).state == "succeeded"
    with both.r.database.reading() as db:
        (asset,) = db.execute(select(ASSET)).all()
    assert asset.sha256 == hashlib.sha256(PICTURE).hexdigest()


def test_one_address_is_fetched_once_for_many_jobs(shop: Workshop, host: Server) -> None:
    ids = [ordered(shop, f"{host.address}/a.png") for _ in range(3)]

    shop.work()

    assert [shop.job(job_id).state for job_id in ids] == ["succeeded"] * 3
    assert host.accepted == 1


def test_another_try_of_a_job_fetches_nothing_again(both: Workshop, host: Server) -> None:
    job_id = ordered(both, f"{host.address}/a.png")
    reference = WebReference(f"{host.address}/a.png")
    submitted_at = both.job(job_id).created_at
    both.r.fetches.begin("default", reference).result(PATIENCE)
    known = both.r.fetches.fetcher.known

    assert known("default", reference, submitted_at - timedelta(days=3)) is not None
    assert known("default", reference, submitted_at + timedelta(hours=2)) is None
    assert known("other", reference, submitted_at) is None


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (404, b"", "answered 404"),
        (200, b"<html>sign in</html>", "a web page"),
        (200, b"", "is empty"),
        (200, bytes(11 * 1024 * 1024), "more than 10 MiB"),
        (200, picture(16, 16), "pixels"),
    ],
    ids=["gone", "a page", "empty", "too large", "too small for the operation"],
)
def test_what_cannot_be_used_fails_the_job_before_anything_is_paid(
    status: int, body: bytes, why: str, shop: Workshop
) -> None:
    with scripted(answering(status, body)) as server:
        job_id = ordered(shop, f"{server.address}/a.png")
        shop.work()

    job = shop.job(job_id)
    assert (job.state, job.error["code"], job.error["class"]) == ("failed", "input_refused", "user")
    assert why in job.error["message"]
    assert job.error["charged"] == "no"
    assert (shop.attempts(job_id), shop.sent()) == ([], 0)


@pytest.mark.parametrize("location", ["/caf\xe9.png", "http://[x/"])
def test_a_redirect_to_what_is_no_address_fails_the_job(location: str, shop: Workshop) -> None:
    def script(guest: Guest) -> None:
        guest.read_request()
        guest.answer(302, location=location)

    with scripted(script) as server:
        job_id = ordered(shop, f"{server.address}/a.png")
        shop.work()

    job = shop.job(job_id)
    assert (job.state, job.error["code"]) == ("failed", "input_refused")
    assert (server.accepted, shop.sent()) == (1, 0)


def test_a_host_that_fails_is_tried_again_and_then_given_up(shop: Workshop) -> None:
    with scripted(answering(503)) as server:
        job_id = ordered(shop, f"{server.address}/a.png")
        shop.work()

        waiting = shop.job(job_id)
        assert (waiting.state, waiting.error["code"]) == ("queued", "input_unreachable")
        assert shop.due_in(job_id) > timedelta(seconds=0.5)
        shop.work()
        shop.work()

    job = shop.job(job_id)
    assert (job.state, job.error["code"]) == ("failed", "input_unreachable")
    assert (job.error["class"], job.error["charged"], shop.sent()) == ("network", "no", 0)
    assert server.accepted == 3


def test_an_inside_address_that_slipped_in_is_refused_by_the_worker(
    strict: Workshop, host: Server
) -> None:
    job_id = ordered(strict, "https://127.0.0.1/a.png")

    strict.work()

    job = strict.job(job_id)
    assert (job.state, job.error["code"]) == ("failed", "input_refused")
    assert (host.accepted, strict.sent()) == (0, 0)


class SlowHost:
    """Answers when it is told to."""

    def __init__(self, status: int = 200) -> None:
        self.asked, self.go_on = Event(), Event()
        self._status = status

    def __call__(self, guest: Guest) -> None:
        guest.read_request()
        self.asked.set()
        self.go_on.wait(PATIENCE)
        guest.answer(self._status, PICTURE)


def impatient(shop: Workshop, **limits: Any) -> FetchDesk:
    """A desk with room for one, at which nobody waits."""
    fetcher = replace(shop.r.fetches.fetcher, **limits)
    shop.r.fetches = FetchDesk(fetcher, threads=4, patience_seconds=0.05)
    return shop.r.fetches


def test_while_others_fetch_a_job_gives_its_thread_back(shop: Workshop) -> None:
    host = SlowHost()
    with scripted(host) as server:
        fetches = impatient(shop)
        first = fetches.begin("default", WebReference(f"{server.address}/a.png"))
        assert host.asked.wait(PATIENCE)
        job_id = ordered(shop, f"{server.address}/b.png")
        shop.work()

        assert (shop.job(job_id).state, shop.job(job_id).refusals) == ("queued", 0)
        assert shop.due_in(job_id) < timedelta(seconds=5)
        with pytest.raises(Busy):
            fetches.begin("default", WebReference(f"{server.address}/b.png"))
        assert fetches.begin("default", WebReference(f"{server.address}/a.png")) is first
        host.go_on.set()
        first.result(PATIENCE)
        patient(shop)
        shop.work()

    assert shop.job(job_id).state == "succeeded"


def test_a_slow_fetch_holds_no_lease_and_brings_its_job_back(both: Workshop) -> None:
    host = SlowHost()
    with scripted(host) as server:
        # Given a job whose input is fetched,
        impatient(both)
        job_id = ordered(both, f"{server.address}/a.png")
        both.work()
        assert both.due_in(job_id) > timedelta(seconds=20)
        with both.r.database.reading() as db:
            assert leases.load(db) == leases.Load(waiting=0, leased=0)

        # when it is there, then the job is due, and nothing is fetched again.
        host.go_on.set()
        until(lambda: both.due_in(job_id) <= timedelta(0), "the fetch is told")
        both.work()

    assert (both.job(job_id).state, server.accepted) == ("succeeded", 1)


def test_a_fetch_that_fails_late_spends_a_try_of_its_job(both: Workshop) -> None:
    host = SlowHost(status=503)
    with scripted(host) as server:
        impatient(both)
        job_id = ordered(both, f"{server.address}/a.png")
        both.work()
        host.go_on.set()
        until(lambda: both.job(job_id).refusals == 1, "the fetch is told")

    job = both.job(job_id)
    assert (job.state, job.error["code"], server.accepted) == ("queued", "input_unreachable", 1)
    assert "image: " in job.error["message"]
    assert both.due_in(job_id) < timedelta(seconds=20)


def test_a_file_that_is_refused_late_fails_its_job(shop: Workshop) -> None:
    host = SlowHost(status=404)
    with scripted(host) as server:
        impatient(shop)
        job_id = ordered(shop, f"{server.address}/a.png")
        shop.work()
        host.go_on.set()
        until(lambda: shop.job(job_id).state == "failed", "the fetch is told")

    assert (shop.job(job_id).error["code"], shop.sent()) == ("input_refused", 0)


@pytest.mark.parametrize("status", [200, 503])
def test_the_end_of_a_fetch_changes_nothing_for_a_job_that_others_have(
    status: int, both: Workshop
) -> None:
    host = SlowHost(status)
    with scripted(host) as server:
        # Given a job that is fetched for, and that somebody else took, and one that was canceled,
        impatient(both)
        both.r.fetches = FetchDesk(both.r.fetches.fetcher, threads=8, patience_seconds=0.05)
        taken = ordered(both, f"{server.address}/a.png")
        canceled = ordered(both, f"{server.address}/b.png")
        both.work()
        with both.r.database.transaction() as db:
            desk.cancel(db, "default", canceled, both.r.database.now())
        both.take()
        before = both.job(taken), both.job(canceled)

        # when the fetches end, then both are as they were.
        ends = [
            both.r.fetches.begin("default", WebReference(f"{server.address}/{name}.png"))
            for name in "ab"
        ]
        host.go_on.set()
        for told in [ended(end) for end in ends]:
            assert told.wait(PATIENCE)

    assert (both.job(taken), both.job(canceled)) == before


def ended(fetch: "Future[str]") -> Event:
    """Set once all who asked before were told of the end."""
    told = Event()
    fetch.add_done_callback(lambda _: told.set())
    return told


def test_a_slow_host_is_left_when_the_time_is_up(shop: Workshop) -> None:
    impatient(shop, limits=Limits(most_bytes=1024, seconds=0.3))

    with scripted(lambda guest: guest.hold()) as server:
        job_id = ordered(shop, f"{server.address}/a.png")
        shop.work()
        until(lambda: shop.job(job_id).refusals == 1, "the fetch is told")

    assert shop.job(job_id).error["code"] == "input_unreachable"


def test_a_fetch_keeps_no_process_from_its_end() -> None:
    program = """
from threading import Event
from jobs.references import WebReference
from workers.fetching import FetchDesk
class Fetcher:
    def fetch(self, project_id, reference):
        Event().wait()
FetchDesk(Fetcher(), threads=4).begin("default", WebReference("https://slow.example/"))
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_output_of_a_job_is_an_input_of_another(both: Workshop) -> None:
    parent = both.submit()
    both.work()
    child = both.submit("edit/remove-background", params={}, inputs={"image": f"job:{parent}#0"})

    both.work()

    assert both.job(child).state == "succeeded"


def test_an_output_that_the_operation_does_not_take_is_refused(shop: Workshop) -> None:
    parent = shop.submit()
    shop.work()
    child = ordered(shop, f"job:{parent}#0")

    shop.work()

    job = shop.job(child)
    assert (job.state, job.error["code"]) == ("failed", "input_refused")
    assert "pixels" in job.error["message"]


def test_an_output_that_is_not_there_yet_is_waited_for(shop: Workshop) -> None:
    parent = shop.submit()
    child = ordered(shop, f"job:{parent}#0")
    with shop.r.database.transaction() as db:
        db.execute(update(JOB).where(JOB.c.id == parent).values(state="waiting", due_at=None))
        now = shop.r.database.now()
        db.execute(update(JOB).where(JOB.c.id == child).values(state="queued", due_at=now))

    shop.work()

    assert (shop.job(child).state, shop.job(child).refusals) == ("queued", 0)


@pytest.mark.parametrize("reference", ["job:{}#7", "asset:{}"])
def test_what_is_gone_fails_the_job(reference: str, shop: Workshop) -> None:
    parent = shop.submit()
    shop.work()
    child = ordered(shop, reference.format(parent))

    shop.work()

    job = shop.job(child)
    assert (job.state, job.error["code"]) == ("failed", "input_gone")


def test_an_input_that_the_bucket_has_lost_fails_the_job(shop: Workshop) -> None:
    asset_id = add_image(shop.r.database, shop.r.storage, "default", io.BytesIO(PICTURE))
    job_id = ordered(shop, f"asset:{asset_id}")
    (key,) = shop.r.storage.list("default/")
    shop.r.storage.delete(key)

    shop.work()

    job = shop.job(job_id)
    assert (job.state, job.error["code"]) == ("failed", "input_gone")
    assert "The bucket does not hold" in job.error["message"]


def test_an_object_of_an_allowed_bucket_is_an_input(
    api: Caller, sqlite_url: str, redis_url: str, tmp_path: Path, s3: dict[str, str]
) -> None:
    client = boto3.client("s3", endpoint_url=s3["S3_ENDPOINT_URL"])
    client.create_bucket(Bucket="faces")
    client.put_object(Bucket="faces", Key="2026/ä b.png", Body=PICTURE)
    with workshop(
        api,
        database_url=sqlite_url,
        redis_url=redis_url,
        home=tmp_path,
        s3_bucket=s3["S3_BUCKET"],
        s3_endpoint_url=s3["S3_ENDPOINT_URL"],
        darkroom_input_buckets="faces, landscapes",
    ) as shop:
        patient(shop)
        good = ordered(shop, "s3://faces/2026/ä b.png")
        missing = ordered(shop, "s3://faces/nothing.png")
        foreign = ordered(shop, f"s3://{s3['S3_BUCKET']}/default/secret.png")

        shop.work()

        states = [shop.job(job_id).state for job_id in (good, missing, foreign)]
        assert states == ["succeeded", "failed", "failed"]
        assert "NoSuchKey" in shop.job(missing).error["message"]
        assert "DARKROOM_INPUT_BUCKETS" in shop.job(foreign).error["message"]


def test_an_announced_file_is_looked_at_when_a_job_first_uses_it(both: Workshop) -> None:
    digest = hashlib.sha256(PICTURE).hexdigest()
    announced = both.r.uploads.announce("default", "a.png", size_bytes=len(PICTURE), digest=digest)
    upload_id = announced.asset_id
    job_id = ordered(both, f"asset:{upload_id}")
    both.work()
    assert both.job(job_id).error["code"] == "input_unreachable"

    both.r.storage.put(
        f"default/uploads/{upload_id}",
        io.BytesIO(PICTURE),
        size=len(PICTURE),
        content_type="image/png",
        sha256=digest,
        metadata={},
    )
    both.work()

    assert both.job(job_id).state == "succeeded"
    assert both.r.storage.head(f"default/uploads/{upload_id}") is None


def test_unfinished_uploads_are_forgotten_after_a_day_and_fetches_after_a_month(
    both: Workshop, host: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "FEW", 1)
    both.r.fetches.begin("default", WebReference(f"{host.address}/a.png")).result(PATIENCE)
    *old, new = (
        both.r.uploads.announce("default", name, size_bytes=9, digest="0" * 64).asset_id
        for name in ("a.png", "b.png", "c.png")
    )
    past = both.r.database.now() - timedelta(days=31)
    with both.r.database.transaction() as db:
        db.execute(update(UPLOAD).where(UPLOAD.c.id.in_(old)).values(created_at=past))
        db.execute(update(FETCH).values(fetched_at=past))

    assert forget_inputs(both.r) == 3

    with both.r.database.reading() as db:
        assert db.execute(select(UPLOAD.c.id)).scalars().all() == [new]
        assert db.execute(select(func.count()).select_from(ASSET)).scalar_one() == 1
