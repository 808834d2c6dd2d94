"""What a key may not do too much of."""

import asyncio
import io
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import redis
import requests
from PIL import Image
from pydantic import ValidationError

from api import meter
from api.meter import Meter
from jobs import keys
from jobs.db import Database
from jobs.keys import Caller, Scope
from jobs.limits import Limits
from jobs.settings import Settings
from tests.integration.api.serving import Client, served
from tests.servers import free_port, wait_until

JOBS = "/v1/jobs"
CORE = {"operation": "generate/core", "params": {"prompt": "a hare"}}
ROWS = [{"params": {"prompt": f"hare {n}"}} for n in range(5)]
NDJSON = {"content-type": "application/x-ndjson"}

LimitedMaker = Callable[..., Client]


@pytest.fixture(autouse=True)
def patient_meter(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, the count is waited for: without it everybody comes in."""
    monkeypatch.setattr(meter, "PATIENCE_SECONDS", 30)


@pytest.fixture
def limited(stranger: Client, database: Database) -> LimitedMaker:
    """A caller of the project `acme` with these limits."""

    def make(**limits: int) -> Client:
        with database.transaction() as db:
            wanted = [Scope.READ, Scope.SUBMIT]
            key, _ = keys.create_key(db, "acme", wanted, database.now(), limits=Limits(**limits))
        return stranger.with_key(key)

    return make


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(file, "PNG")
    return file.getvalue()


def key_id(client: Client) -> str:
    return client.headers["authorization"].split("_")[1]


def all_at_once(calls: list[Callable[[], requests.Response]]) -> list[requests.Response]:
    """The answers to calls that begin at the same moment."""
    start = Barrier(len(calls))

    def make(call: Callable[[], requests.Response]) -> requests.Response:
        start.wait(30)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(make, calls))


def test_the_requests_of_a_second_are_counted_over_processes(
    limited: LimitedMaker, settings: Settings
) -> None:
    client = limited(requests=3)
    with served(settings) as other:
        elsewhere = other.with_key(client.headers["authorization"].removeprefix("Bearer "))
        began = time.monotonic()

        answers = all_at_once([lambda to=to: to.get(JOBS) for to in (client, elsewhere) * 10])

        seconds = time.monotonic() - began
    passed = Counter(answer.status_code for answer in answers)
    assert set(passed) == {200, 429}
    assert 3 <= passed[200] <= 3 + 3 * seconds
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["code"] == "too_many_requests"
    assert refused.headers["retry-after"] == "1"


def test_every_answer_says_what_is_left(limited: LimitedMaker, client: Client) -> None:
    answer = limited(requests=50).get(JOBS)

    assert answer.headers["ratelimit-policy"] == '"requests";q=50;w=1'
    assert answer.headers["ratelimit"] == '"requests";r=49;t=1'
    assert "ratelimit" not in client.get(JOBS).headers


def test_who_waits_as_long_as_was_said_comes_in_again(limited: LimitedMaker) -> None:
    client = limited(requests=2)
    wait_until(lambda: client.get(JOBS).status_code == 429, "the limit is reached")

    wait_until(lambda: client.get(JOBS).status_code == 200, "the key comes in again")


def test_the_project_gets_exactly_as_many_open_jobs_as_the_key_may_make(
    limited: LimitedMaker,
) -> None:
    client = limited(open_jobs=5)

    answers = all_at_once([lambda: client.post(JOBS, json=CORE)] * 16)

    counted = Counter(answer.status_code for answer in answers)
    assert counted == {202: 5, 429: 11}
    assert len(client.get(JOBS).json()["items"]) == 5
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["code"] == "too_many_open_jobs"
    assert int(refused.headers["retry-after"]) >= 1


def test_an_ended_job_makes_room_and_one_that_is_opened_again_takes_it(
    limited: LimitedMaker,
) -> None:
    client = limited(open_jobs=1)
    first = client.post(JOBS, json=CORE).json()["id"]
    assert client.post(JOBS, json=CORE).status_code == 429

    client.post(f"{JOBS}/{first}/cancel")

    assert client.post(JOBS, json=CORE).status_code == 202
    assert client.post(f"{JOBS}/{first}/retry").status_code == 429
    assert client.get(f"{JOBS}/{first}").json()["state"] == "canceled"


def test_a_submission_that_is_repeated_needs_no_room(limited: LimitedMaker) -> None:
    client = limited(open_jobs=1)
    once = {"headers": {"idempotency-key": "order-7"}, "json": CORE}
    first = client.post(JOBS, **once)

    again = client.post(JOBS, **once)

    assert (first.status_code, again.status_code) == (202, 200)


@pytest.mark.parametrize(
    ("path", "options"),
    [
        (
            "/v1/flows",
            {"json": {"steps": {"a": CORE, "b": CORE, "c": CORE}}},
        ),
        ("/v1/batches", {"json": {"operation": "generate/core", "jobs": ROWS}}),
    ],
    ids=["flow", "batch"],
)
def test_many_jobs_at_once_come_in_as_a_whole_or_not_at_all(
    limited: LimitedMaker, path: str, options: dict[str, object]
) -> None:
    client = limited(open_jobs=2)

    answer = client.post(path, **options)

    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_open_jobs")
    assert client.get(JOBS).json()["items"] == []


def test_stabilitys_own_addresses_count_too_and_refuse_in_their_shape(
    limited: LimitedMaker,
) -> None:
    client = limited(open_jobs=1)
    client.post(JOBS, json=CORE)

    answer = client.post(
        "/stability/v2beta/stable-image/generate/core", files={"prompt": (None, "a hare")}
    )

    assert (answer.status_code, answer.json()["name"]) == (429, "rate_limit_exceeded")
    assert int(answer.headers["retry-after"]) >= 1


def test_a_batch_has_no_more_rows_than_the_key_may_put_in(limited: LimitedMaker) -> None:
    client = limited(batch_rows=4)

    listed = client.post("/v1/batches", json={"operation": "generate/core", "jobs": ROWS})
    opened = client.post("/v1/batches", json={"operation": "generate/core"}).json()["id"]
    lines = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    rows = f"/v1/batches/{opened}/jobs"
    streamed = client.post(rows, data=lines, headers=NDJSON)

    for answer in (listed, streamed):
        assert (answer.status_code, answer.json()["code"]) == (429, "too_many_rows")
        assert answer.headers["retry-after"] == "3600"
    whole = client.post(rows, data=lines[: lines.rindex(b"\n", 0, -1)], headers=NDJSON)
    assert (whole.status_code, whole.json()["accepted"]) == (200, 4)


def test_a_schedule_does_not_lead_around_the_limits(limited: LimitedMaker) -> None:
    client = limited(open_jobs=2, batch_rows=2)
    rows = {"operation": "generate/core", "jobs": ROWS[:3]}
    plan = {"cron": "0 7 1 1 *", "overlap": "queue", "template": {**rows, "jobs": ROWS[:2]}}
    path = f"/v1/schedules/{client.post('/v1/schedules', json=plan).json()['id']}"

    too_long = [
        client.post("/v1/schedules", json={**plan, "template": rows}),
        client.call("PATCH", path, json={"template": rows}),
    ]
    runs = [client.post(f"{path}/run") for _ in range(2)]

    assert [answer.json()["code"] for answer in too_long] == ["too_many_rows"] * 2
    assert [answer.status_code for answer in runs] == [202, 429]
    assert len(client.get(path).json()["runs"]) == 1
    assert len(client.get(JOBS).json()["items"]) == 2


def test_the_bytes_of_a_day_are_counted_however_they_come(limited: LimitedMaker) -> None:
    picture = png()
    client = limited(bytes=len(picture) + 2000)
    assert client.post("/v1/assets", files={"file": picture}).status_code == 201

    def pieces() -> Iterator[bytes]:
        for _ in range(8):
            yield b" " * 500

    announced = {"filename": "a.png", "bytes": 10_000, "sha256": "0" * 64}
    refused = [
        client.post("/v1/assets", files={"file": picture + b" " * 2000}),
        client.post("/v1/assets", json=announced),
        client.post(JOBS, data=pieces(), headers={"content-type": "application/json"}),
    ]

    assert [answer.status_code for answer in refused] == [429] * 3
    assert {answer.json()["code"] for answer in refused} == {"too_many_bytes"}
    assert all(0 < int(answer.headers["retry-after"]) <= 86_400 for answer in refused)
    assert client.get(JOBS).status_code == 200


def test_a_limit_that_is_changed_holds_soon(
    limited: LimitedMaker, client: Client, database: Database
) -> None:
    with database.transaction() as db:
        keys.set_limits(db, key_id(client), {"open_jobs": 1})

    wait_until(
        lambda: client.get("/v1/usage").json()["limits"]["open_jobs"] == 1, "the limit is known"
    )

    assert client.post(JOBS, json=CORE).status_code == 202
    assert client.post(JOBS, json=CORE).status_code == 429
    with database.transaction() as db:
        assert keys.set_limits(db, key_id(client), {"open_jobs": None}) == Limits()


def test_a_limit_that_makes_no_sense_is_refused(client: Client, database: Database) -> None:
    with pytest.raises(ValidationError), database.transaction() as db:
        keys.set_limits(db, key_id(client), {"requests": 0})


async def free_of(address: str, caller: Caller, requests: int) -> int:
    """How many of so many requests at once were not counted."""
    counting = Meter(address)
    asked = [counting.count(caller) for _ in range(requests)]
    told = await asyncio.gather(*asked, return_exceptions=True)
    counting.close()
    return told.count(None)


def test_a_flood_does_not_look_like_a_redis_that_is_away(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meter, "PATIENCE_SECONDS", 0.25)
    caller = Caller("k", "acme", frozenset(), Limits(requests=1))

    # A machine that is busy may keep Redis from answering in time, but not for ever.
    assert any(asyncio.run(free_of(redis_url, caller, 5000)) == 0 for _ in range(5))


def test_a_clock_that_is_set_back_locks_nobody_out(limited: LimitedMaker, redis_url: str) -> None:
    # Given a key that was used when the clock of Redis was ten minutes ahead,
    client = limited(requests=1000)
    client.get(JOBS)
    with redis.Redis.from_url(redis_url) as counters:
        name = f"darkroom:key:{{{key_id(client)}}}:requests"
        ahead = int(counters.get(name)) + 600_000_000
        counters.set(name, ahead)

        answer = client.get(JOBS)

        # then it comes in, and is counted by the clock as it is now.
        assert (answer.status_code, answer.headers["ratelimit"]) == (200, '"requests";r=999;t=1')
        assert int(counters.get(name)) < ahead


def test_without_redis_everybody_comes_in() -> None:
    caller = Caller("k", "acme", frozenset(), Limits(requests=1, bytes=1))

    async def count() -> list[object]:
        lonely = Meter(f"redis://127.0.0.1:{free_port()}")
        try:
            return [await lonely.count(caller, size_bytes=100) for _ in range(3)]
        finally:
            lonely.close()

    assert asyncio.run(count()) == [None] * 3
