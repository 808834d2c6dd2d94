"""A worker gets the inputs that lie elsewhere, before anything is paid."""

import hashlib
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from threading import Event

import boto3
import pytest
from sqlalchemy import func, select, update

from jobs.assets import add_image
from jobs.downloads import Limits
from jobs.fetches import FETCH, Fetcher, forget_fetches
from jobs.models import Asset, table
from jobs.queue.moves import JOB
from jobs.references import WebReference
from jobs.uploads import UPLOAD
from tests.integration.sandbox.caller import Caller, picture
from tests.integration.workshop import Workshop, workshop
from tests.sockets import Caller as Guest
from tests.sockets import Script, Server, scripted
from workers.fetching import Busy, FetchDesk

ASSET = table(Asset)
PICTURE = picture(256, 256)
UPSCALE = "upscale/fast"


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


def in_house(
    api: Caller, database_url: str, redis_url: str, home: Path
) -> AbstractContextManager[Workshop]:
    return workshop(
        api,
        database_url=database_url,
        redis_url=redis_url,
        home=home,
        darkroom_allow_private_addresses=True,
    )


@pytest.fixture
def strict(api: Caller, sqlite_url: str, redis_url: str, tmp_path: Path) -> Iterator[Workshop]:
    """A worker that may only call public hosts."""
    with workshop(api, database_url=sqlite_url, redis_url=redis_url, home=tmp_path) as made:
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
    both.r.fetches.fetch("default", reference)
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


def test_while_others_fetch_a_job_gives_its_thread_back(shop: Workshop) -> None:
    asked, go_on = Event(), Event()

    def slow(guest: Guest) -> None:
        guest.read_request()
        asked.set()
        go_on.wait(20)
        guest.answer(200, PICTURE)

    with scripted(slow) as server, ThreadPoolExecutor(1) as pool:
        desk = FetchDesk(shop.r.fetches.fetcher, threads=4)
        shop.r.fetches = desk
        first = pool.submit(desk.fetch, "default", WebReference(f"{server.address}/a.png"))
        assert asked.wait(20)
        job_id = ordered(shop, f"{server.address}/b.png")
        shop.work()

        assert (shop.job(job_id).state, shop.job(job_id).refusals) == ("queued", 0)
        with pytest.raises(Busy):
            desk.fetch("default", WebReference(f"{server.address}/a.png"))
        go_on.set()
        first.result(20)
        shop.work()

    assert shop.job(job_id).state == "succeeded"


def test_a_slow_host_is_left_when_the_time_is_up(shop: Workshop) -> None:
    old = shop.r.fetches.fetcher
    fetcher = Fetcher(
        database=old.database,
        storage=old.storage,
        guard=old.guard,
        sources=old.sources,
        buckets=old.buckets,
        limits=Limits(most_bytes=1024, seconds=0.3),
    )
    shop.r.fetches = FetchDesk(fetcher, threads=4)

    with scripted(lambda guest: guest.hold()) as server:
        job_id = ordered(shop, f"{server.address}/a.png")
        shop.work()

    assert shop.job(job_id).error["code"] == "input_unreachable"


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
    both: Workshop, host: Server
) -> None:
    both.r.fetches.fetch("default", WebReference(f"{host.address}/a.png"))
    digest = "0" * 64
    old = both.r.uploads.announce("default", "a.png", size_bytes=9, digest=digest).asset_id
    new = both.r.uploads.announce("default", "b.png", size_bytes=9, digest=digest).asset_id
    past = both.r.database.now() - timedelta(days=31)
    with both.r.database.transaction() as db:
        db.execute(update(UPLOAD).where(UPLOAD.c.id == old).values(created_at=past))
        db.execute(update(FETCH).values(fetched_at=past))

    assert (both.r.uploads.forget(), forget_fetches(both.r.database)) == (1, 1)

    with both.r.database.reading() as db:
        assert db.execute(select(UPLOAD.c.id)).scalars().all() == [new]
        assert db.execute(select(func.count()).select_from(ASSET)).scalar_one() == 1
