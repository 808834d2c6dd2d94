"""From the spool to the bucket: every kind of answer, damaged ones, and a bucket that is away."""

import base64
import errno
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from PIL import Image

from jobs.catalog.loader import operation
from jobs.errors import StorageError
from jobs.outcomes import Outcome, Refetch, Stored, StoredOutput, Uncertain
from jobs.queue.moves import CLAIM_FIELDS, Claim
from jobs.spool import Spool
from jobs.states import JobState
from jobs.storage.protocol import Storage
from jobs.telemetry import Changes
from tests.servers import wait_until
from workers import delivery
from workers.delivery import deliver, find_stored
from workers.resources import Resources

SYNC = operation("generate/core")
ASYNC = operation("upscale/creative")
V1 = operation("v1/text-to-image")
PNG = {"content_type": "image/png"}


class Bucketful:
    """The parts of a worker that delivery touches."""

    def __init__(self, storage: Storage, folder: Path) -> None:
        # Delivery knows neither database nor Redis: without them it cannot touch them.
        self.r = object.__new__(Resources)
        self.r.storage = storage
        self.r.spool = Spool(folder)
        self.r.changes = Changes()
        self.r.ended = Event()
        self.r.settings = Gap()  # type: ignore[assignment]

    def receive(self, body: bytes, facts: Mapping[str, Any] = PNG) -> None:
        self.r.spool.receive("attempt", [body], facts=dict(facts), max_bytes=1 << 20)

    def read(self, output: StoredOutput) -> bytes:
        with self.r.storage.open(output.key) as source:
            return source.read()


class Gap:
    """The one setting that delivery reads."""

    poll_gap = timedelta(seconds=10)


def a_claim() -> Claim:
    """A storing job; delivery asks for nothing else of it."""
    known = {
        "id": "01job",
        "state": JobState.STORING,
        "project_id": "default",
        "attempt_id": "attempt",
        "attempt_number": 1,
        "polls": 0,
        "seed": 7,
    }
    return Claim(**(dict.fromkeys(CLAIM_FIELDS) | known))  # type: ignore[arg-type]


CLAIM = a_claim()


@pytest.fixture
def bucketful(storage: Storage, tmp_path: Path) -> Bucketful:
    """On a folder and on S3."""
    return Bucketful(storage, tmp_path / "spool")


@pytest.fixture
def small(folder_storage: Storage, tmp_path: Path) -> Bucketful:
    """On a folder."""
    return Bucketful(folder_storage, tmp_path / "spool")


def picture(form: str = "PNG", size: tuple[int, int] = (48, 32)) -> bytes:
    target = io.BytesIO()
    noise = Image.effect_noise(size, 80).convert("RGB")
    noise.save(target, form)
    return target.getvalue()


def stored(outcome: Outcome) -> tuple[StoredOutput, ...]:
    assert isinstance(outcome, Stored)
    return outcome.outputs


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_a_picture_lies_in_the_bucket_as_it_came(bucketful: Bucketful, form: str) -> None:
    body, content_type = picture(form), f"image/{form.lower()}"
    bucketful.receive(body, {"content_type": content_type, "seed": "41"})

    (output,) = stored(deliver(bucketful.r, SYNC, CLAIM))

    assert bucketful.read(output) == body
    assert output.sha256 == hashlib.sha256(body).hexdigest()
    assert (output.content_type, output.bytes) == (content_type, len(body))
    assert (output.width, output.height) == (48, 32)
    assert (output.seed, output.finish_reason) == (41, "SUCCESS")


def test_an_object_tells_its_own_story(bucketful: Bucketful) -> None:
    bucketful.receive(picture(), {**PNG, "seed": "41", "finish_reason": "CONTENT_FILTERED"})

    (output,) = stored(deliver(bucketful.r, SYNC, CLAIM))

    found = bucketful.r.storage.head(output.key)
    assert found is not None
    assert found.metadata == {
        "seed": "41",
        "finish-reason": "CONTENT_FILTERED",
        "width": "48",
        "height": "32",
        "count": "1",
    }
    assert (found.sha256, found.content_type) == (output.sha256, "image/png")


def test_a_filtered_picture_is_kept_and_says_so(small: Bucketful) -> None:
    small.receive(picture(), {**PNG, "finish_reason": "CONTENT_FILTERED"})

    (output,) = stored(deliver(small.r, SYNC, CLAIM))

    assert output.finish_reason == "CONTENT_FILTERED"


def test_without_a_seed_in_the_answer_ours_holds(small: Bucketful) -> None:
    small.receive(picture(), {**PNG, "seed": "none"})

    (output,) = stored(deliver(small.r, SYNC, CLAIM))

    assert output.seed == CLAIM.seed


@pytest.mark.parametrize("seed", [10**30, -(2**63) - 1, "9" * 5000, 1.5, [], None])
@pytest.mark.parametrize("reason", ["SUCCESS\0", "\ud800SUCCESS", "SUC\nCESS", "SUCCESSé", "", 7])
def test_what_v1_says_of_a_picture_can_always_be_kept(
    small: Bucketful, seed: object, reason: object
) -> None:
    said = artifacts(1)[0] | {"seed": seed, "finishReason": reason}
    small.receive(json.dumps([said]).encode(), {"content_type": "application/json"})

    (output,) = stored(deliver(small.r, V1, CLAIM))

    assert (output.seed, output.finish_reason) == (CLAIM.seed, "SUCCESS")


def artifacts(number: int) -> list[dict[str, Any]]:
    return [
        {
            "base64": base64.b64encode(picture(size=(16 + i, 16))).decode(),
            "seed": 100 + i,
            "finishReason": "CONTENT_FILTERED" if i == 1 else "SUCCESS",
        }
        for i in range(number)
    ]


@pytest.mark.parametrize("form", ["an object", "a list"])
def test_each_artifact_of_v1_is_an_output(bucketful: Bucketful, form: str) -> None:
    listed = artifacts(12)
    told = {"artifacts": listed} if form == "an object" else listed
    bucketful.receive(json.dumps(told).encode(), {"content_type": "application/json"})

    outputs = stored(deliver(bucketful.r, V1, CLAIM))

    assert [output.number for output in outputs] == list(range(12))
    assert [output.width for output in outputs] == [16 + i for i in range(12)]
    assert [output.seed for output in outputs] == [100 + i for i in range(12)]
    assert [output.finish_reason for output in outputs].count("CONTENT_FILTERED") == 1
    assert bucketful.read(outputs[11]) == base64.b64decode(listed[11]["base64"])


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b"null",
        b"5",
        b'{"artifacts": []}',
        b'{"artifacts": [{"seed": 1}]}',
        b'{"artifacts": [{"base64": "not base64!"}]}',
        b'{"artifacts": [5]}',
        b'{"artifacts": {"base64": ""}}',
        b'{"artifacts": [{"base64": ""}]}',
        b'{"artifacts": [{"base64": "' + b"aGVsbG8=" + b'"}]}',
        b'{"artifacts": [{"bas',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
    ids=lambda body: repr(body[:40]),
)
def test_an_answer_of_v1_without_pictures_is_evidence(small: Bucketful, body: bytes) -> None:
    small.receive(body, {"content_type": "application/json"})

    outcome = deliver(small.r, V1, CLAIM)

    assert isinstance(outcome, Uncertain)
    assert outcome.error.code == "bad_media"
    assert list(small.r.storage.list("")) == []


#: What comes, and what it is announced as.
DAMAGED: dict[str, tuple[bytes, str]] = {
    "half a PNG": (picture()[: len(picture()) // 2], "image/png"),
    "a PNG without its end": (picture()[:-12], "image/png"),
    "half a JPEG": (picture("JPEG", (256, 256))[:4000], "image/jpeg"),
    "half a WebP": (picture("WEBP", (256, 256))[:4000], "image/webp"),
    "a page": (b"<html><body>Welcome</body></html>", "image/png"),
    "nothing": (b"", "image/png"),
    "another type": (picture("JPEG"), "image/png"),
    "no type": (picture(), ""),
    "an unknown type": (picture(), "application/octet-stream"),
    "a video of nothing": (b"\0" * 64, "video/mp4"),
    "a model of nothing": (b"\0" * 64, "model/gltf-binary"),
}


@pytest.mark.parametrize(("body", "content_type"), DAMAGED.values(), ids=DAMAGED)
def test_damaged_media_of_a_paid_call_are_evidence(
    small: Bucketful, body: bytes, content_type: str
) -> None:
    small.receive(body, {"content_type": content_type})

    outcome = deliver(small.r, SYNC, CLAIM)

    assert isinstance(outcome, Uncertain)
    assert (outcome.error.code, outcome.error.charged) == ("bad_media", "yes")
    assert list(small.r.storage.list("")) == []
    assert [path.read_bytes() for path in small.r.spool.folder.glob("*.rejected")] == [body]
    assert small.r.spool.find("attempt") is None


@pytest.mark.parametrize(("body", "content_type"), DAMAGED.values(), ids=DAMAGED)
def test_damaged_media_of_a_poll_are_fetched_again(
    small: Bucketful, body: bytes, content_type: str
) -> None:
    small.receive(body, {"content_type": content_type})

    outcome = deliver(small.r, ASYNC, CLAIM)

    assert isinstance(outcome, Refetch)
    assert outcome.delay >= Gap.poll_gap
    assert small.r.spool.find("attempt") is None
    assert list(small.r.spool.folder.glob("*.body")) == []


class Fickle:
    """A storage that is away until it is told otherwise, in front of a real one."""

    def __init__(self, behind: Storage) -> None:
        self._behind = behind
        self.is_away = True
        self.tries = 0

    def put(self, *args: Any, **kwargs: Any) -> None:
        self.tries += 1
        if self.is_away:
            raise StorageError("the bucket is away")
        self._behind.put(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._behind, name)


@pytest.fixture
def fickle(small: Bucketful, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fickle]:
    """The bucket is away; tries follow one another quickly."""
    monkeypatch.setattr(delivery, "FIRST_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(delivery, "LONGEST_RETRY_SECONDS", 0.05)
    made = Fickle(small.r.storage)
    small.r.storage = made
    yield made
    small.r.ended.set()


def test_a_bucket_that_is_away_is_waited_for(small: Bucketful, fickle: Fickle) -> None:
    small.receive(picture())
    outcomes: list[Outcome] = []
    thread = Thread(target=lambda: outcomes.append(deliver(small.r, SYNC, CLAIM)))
    thread.start()
    wait_until(lambda: fickle.tries >= 3, "it was tried three times")

    fickle.is_away = False
    thread.join(20)

    (output,) = stored(outcomes[0])
    assert small.read(output) == picture_of(small)


def test_a_disk_without_room_to_unpack_is_waited_for(
    small: Bucketful, fickle: Fickle, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a disk on which the artifacts of a paid answer find no room twice,
    fickle.is_away = False
    small.receive(json.dumps(artifacts(2)).encode(), {"content_type": "application/json"})
    write, full = Path.write_bytes, [OSError(errno.ENOSPC, "no space left")] * 2

    def write_bytes(path: Path, data: bytes) -> int:
        if full:
            raise full.pop()
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)

    outcome = deliver(small.r, V1, CLAIM)

    assert len(stored(outcome)) == 2
    assert not full


def picture_of(small: Bucketful) -> bytes:
    """What the spool still holds: only the committed outcome clears it."""
    found = small.r.spool.find("attempt")
    assert found is not None
    return found.path.read_bytes()


def test_the_end_of_the_process_leaves_the_answer_in_the_spool(
    small: Bucketful, fickle: Fickle
) -> None:
    body = picture()
    small.receive(body)
    small.r.ended.set()

    with pytest.raises(StorageError, match="away"):
        deliver(small.r, SYNC, CLAIM)

    assert picture_of(small) == body


def test_what_is_in_the_bucket_is_adopted_when_the_spool_is_gone(bucketful: Bucketful) -> None:
    bucketful.receive(picture(), {**PNG, "seed": "41"})
    before = deliver(bucketful.r, SYNC, CLAIM)
    bucketful.r.spool.discard("attempt")

    assert deliver(bucketful.r, SYNC, CLAIM) == before


def test_twelve_artifacts_are_adopted_in_their_order(bucketful: Bucketful) -> None:
    bucketful.receive(json.dumps(artifacts(12)).encode())
    before = deliver(bucketful.r, V1, CLAIM)
    bucketful.r.spool.discard("attempt")

    assert find_stored(bucketful.r, CLAIM) == before


def test_a_part_of_the_artifacts_is_not_adopted(bucketful: Bucketful) -> None:
    bucketful.receive(json.dumps(artifacts(3)).encode())
    outputs = stored(deliver(bucketful.r, V1, CLAIM))

    bucketful.r.storage.delete(outputs[2].key)

    assert find_stored(bucketful.r, CLAIM) is None


def test_another_attempts_outputs_are_not_adopted(bucketful: Bucketful) -> None:
    bucketful.receive(picture())
    deliver(bucketful.r, SYNC, replace(CLAIM, attempt_number=12))

    assert find_stored(bucketful.r, CLAIM) is None
    assert find_stored(bucketful.r, replace(CLAIM, attempt_number=2)) is None


def test_delivering_twice_changes_nothing(bucketful: Bucketful) -> None:
    bucketful.receive(picture())

    first = deliver(bucketful.r, SYNC, CLAIM)

    assert deliver(bucketful.r, SYNC, CLAIM) == first
    assert len(list(bucketful.r.storage.list(""))) == 1
