"""The Python client against the real thing: the interface, a worker and the sandbox."""

import pickle
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet
import pytest
import requests

from api.client import Darkroom as Client
from api.client import DarkroomError, Unfinished
from jobs.db import Database
from jobs.keys import Scope, create_key
from jobs.models import new_id
from tests.functional.darkroom import REPOSITORY, Darkroom
from tests.functional.manifests import write_picture
from tests.functional.shop import Shop, open_shop
from tests.integration.sandbox.caller import running
from tests.servers import redis_server, temporary_folder

CORE = "generate/core"


@pytest.fixture(scope="module")
def installation() -> Iterator[Shop]:
    """One for all tests of this module."""
    with temporary_folder() as folder, running() as api, redis_server() as redis_url:
        user = Darkroom(folder, {}).asking(api)
        with open_shop(user.having(REDIS_URL=redis_url, DARKROOM_POLL_SECONDS="0.5")) as shop:
            yield shop


@pytest.fixture
def shop(installation: Shop) -> Shop:
    """The installation with the key of a project that nobody else has."""
    database = Database(installation.darkroom.as_settings.database_address)
    with database.transaction() as db:
        key, _ = create_key(db, new_id(), [Scope.READ, Scope.SUBMIT], database.now())
    database.close()
    return replace(installation, key=key)


@pytest.fixture
def client(shop: Shop) -> Client:
    return Client(shop.address, shop.key)


def test_a_job_is_submitted_waited_for_elsewhere_and_saved(client: Client, tmp_path: Path) -> None:
    handle = client.submit(CORE, {"prompt": "a hare", "output_format": "png"}, metadata={"n": 1})

    elsewhere = pickle.loads(pickle.dumps(handle))
    saved = elsewhere.wait(60).save(tmp_path / "hare.png")

    assert (elsewhere.state, elsewhere.shown["metadata"]) == ("succeeded", {"n": 1})
    assert saved.read_bytes().startswith(b"\x89PNG")
    assert [job.id for job in client.jobs(state="succeeded")] == [handle.id]


def test_the_example_of_the_documents_works(shop: Shop, tmp_path: Path) -> None:
    example = re.search(r"```python\n(.*?)```", (REPOSITORY / "docs/api.md").read_text(), re.DOTALL)
    assert example is not None

    told = subprocess.run(
        [sys.executable, "-c", example[1]],
        cwd=tmp_path,
        env={"DARKROOM_URL": shop.address, "DARKROOM_KEY": shop.key, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )

    assert told.returncode == 0, told.stderr
    assert told.stdout.count("succeeded") == 3
    assert (tmp_path / "hare.png").stat().st_size > 0


def test_a_picture_is_uploaded_on_the_way(client: Client, tmp_path: Path) -> None:
    picture = write_picture(tmp_path / "small.png", 160, 120)

    handle = client.submit("upscale/fast", inputs={"image": picture}).wait(60)

    assert handle.state == "succeeded", handle.shown
    assert handle.shown["inputs"]["image"] == f"asset:{client.upload(picture)}"


def test_a_batch_that_was_cut_off_goes_on_where_it_was(client: Client) -> None:
    rows = [{"params": {"prompt": f"hare {n}"}} for n in range(7)]
    rows[3] = {"params": {"prompt": ""}}

    # Given a program that died after four rows,
    def dying() -> Iterator[dict[str, object]]:
        yield from rows[:4]
        raise KeyboardInterrupt

    def batch(source: Iterator[dict[str, object]]) -> dict[str, object]:
        return client.batch(source, name="hares", operation=CORE)

    opened = client.call("POST", "/v1/batches", json={"name": "hares", "operation": CORE})
    client._add(f"/v1/batches/{opened['id']}", list(rows[:2]), 0)
    with pytest.raises(KeyboardInterrupt):
        batch(dying())

    # when it is started again,
    whole = batch(iter(rows))

    # then all rows are in once, without the faulty one.
    assert whole["id"] == opened["id"]
    assert [error["row"] for error in whole["errors"]] == [3]
    jobs = list(client.jobs(batch=str(whole["id"])))
    assert sorted(job.shown["row"] for job in jobs) == [0, 1, 2, 4, 5, 6]
    assert all(job.wait(60).state == "succeeded" for job in jobs)


def test_a_batch_whose_last_row_has_faults_is_found_again(client: Client) -> None:
    rows = [{"params": {"prompt": "a hare"}}, {"params": {"prompt": ""}}]

    first, again = (client.batch(rows, name="hares", operation=CORE) for _ in range(2))

    assert ([error["row"] for error in first["errors"]], again["errors"]) == ([1], [])
    assert (again["id"], again["size"]) == (first["id"], 1)


def test_the_same_submission_is_one_job(client: Client) -> None:
    first, second = (
        client.submit(CORE, {"prompt": "a hare"}, idempotency_key="order-7") for _ in range(2)
    )

    assert first.id == second.id


def test_faults_say_what_to_mend(client: Client) -> None:
    with pytest.raises(DarkroomError) as caught:
        client.submit(CORE, {"aspect_ratio": "7:3"})

    assert (caught.value.status, caught.value.code) == (422, "invalid_request")
    assert {f["field"] for f in caught.value.faults} == {"params.prompt", "params.aspect_ratio"}
    assert "params.prompt" in str(caught.value)


def test_who_waits_too_short_may_wait_again(client: Client) -> None:
    later = "2999-01-01T00:00:00Z"
    handle = client.submit(CORE, {"prompt": "a hare"}, run_at=later)

    with pytest.raises(Unfinished):
        handle.wait(0.05)

    assert handle.cancel().wait(1).state == "canceled"


def test_a_batch_is_priced_and_exported(client: Client, tmp_path: Path) -> None:
    rows = [{"params": {"prompt": f"hare {n}"}} for n in range(2)]
    (core,) = [found for found in client.operations() if found["name"] == CORE]
    cost = client.estimate({"operation": CORE, **row} for row in rows)
    batch = client.batch(rows, operation=CORE)
    for job in client.jobs(batch=batch["id"]):
        job.wait(60)

    archive = client.export(batch["id"], tmp_path / "hares.tar")
    lines = client.export(batch["id"], tmp_path / "hares.jsonl", form="jsonl")
    table = client.export(batch["id"], tmp_path / "hares.parquet", form="parquet")

    assert cost["credits"] == 2 * core["credits"]["most"]
    with tarfile.open(archive) as files:
        assert len([name for name in files.getnames() if name.startswith("00000/")]) == 2
    assert len(lines.read_text().splitlines()) == 2
    assert pyarrow.parquet.read_table(table).column("prompt").to_pylist() == ["hare 0", "hare 1"]
    assert set(tmp_path.iterdir()) == {archive, lines, table}


def like(client: Client, session: requests.Session) -> requests.Session:
    """The session with the client's key."""
    session.headers.update(client._session.headers)
    return session


class Refusing(requests.Session):
    """Refuses the first request."""

    def __init__(self, status: int, wait: str) -> None:
        super().__init__()
        self._first: requests.Response | None = requests.Response()
        self._first.status_code = status
        self._first.headers["retry-after"] = wait

    def request(self, *args: object, **options: object) -> requests.Response:  # type: ignore[override]
        first, self._first = self._first, None
        if first is not None:
            return first
        return super().request(*args, **options)  # type: ignore[arg-type]


def test_what_is_too_much_for_a_moment_is_sent_again(client: Client) -> None:
    client._session = like(client, Refusing(429, "0"))

    assert client.submit(CORE, {"prompt": "a hare"}).state == "queued"


@pytest.mark.parametrize(
    ("status", "wait"), [(429, "3600"), (503, "0")], ids=["too long", "perhaps done"]
)
def test_what_cannot_be_repeated_soon_or_safely_is_told(
    client: Client, status: int, wait: str
) -> None:
    client._session = like(client, Refusing(status, wait))

    with pytest.raises(DarkroomError) as caught:
        client.call("POST", "/v1/batches", json={"operation": CORE})

    assert caught.value.status == status


def test_a_lost_connection_is_no_second_job(shop: Shop, client: Client) -> None:
    class Cut(requests.Session):
        """Sends, and loses the first answer."""

        lost = 0

        def request(self, *args: object, **options: object) -> requests.Response:  # type: ignore[override]
            answer = super().request(*args, **options)  # type: ignore[arg-type]
            if not self.lost:
                self.lost += 1
                raise requests.ConnectionError("cut")
            return answer

    client._session = like(client, Cut())

    handle = client.submit(CORE, {"prompt": "a hare"})

    assert [job.id for job in client.jobs()] == [handle.id]


def test_the_client_needs_none_of_the_server(tmp_path: Path) -> None:
    code = (
        "import sys, api.client; "
        "print([m for m in ('fastapi', 'sqlalchemy', 'celery', 'pydantic', 'jobs') "
        "if m in sys.modules])"
    )

    told = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )

    assert told.stdout.strip() == "[]"
