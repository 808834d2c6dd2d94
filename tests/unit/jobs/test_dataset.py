"""Datasets: what an export writes, keeps, refuses, and says about it."""

import hashlib
import io
import json
import tarfile
import tempfile
import tracemalloc
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from jobs.dataset import Item, ItemOutput, Summary, export_files
from jobs.dataset.stream import tar_of
from jobs.errors import Conflict, StorageError
from jobs.manifest import Expansion, JobRow, rows
from tests.datasets import ABOUT, Bucket, failed, files_in, item, lines_of

MADE = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


#: A reference as a manifest has it.
ASSET = "asset:" + 26 * "a"


def export(out: Path, bucket: Bucket, *items: Item, about: Mapping[str, Any] = ABOUT) -> Summary:
    return export_files(items, bucket.open, out, about)


def test_outputs_lie_in_folders_of_ten_thousand_rows(bucket: Bucket, tmp_path: Path) -> None:
    items = [
        item(12, bucket.output("a"), bucket.output("b", index=1, content_type="image/jpeg")),
        item(9_999, bucket.output("c", content_type="video/mp4")),
        item(10_000, bucket.output("d", content_type="model/gltf-binary")),
        item(1_234_567, bucket.output("e", content_type="text/strange")),
    ]

    summary = export(tmp_path / "new" / "out", bucket, *items)

    assert files_in(tmp_path / "new" / "out") == {
        "00000/000012-0.png",
        "00000/000012-1.jpg",
        "00000/009999-0.mp4",
        "00001/010000-0.glb",
        "00123/1234567-0.bin",
        "metadata.jsonl",
        "failed.jsonl",
        "dataset.json",
    }
    assert (tmp_path / "new/out/00000/000012-0.png").read_bytes() == bucket.objects["a"]
    assert (summary.files, summary.fetched, summary.jobs) == (5, 5, 4)
    assert summary.complete


def test_no_field_of_a_request_takes_the_place_of_a_file(bucket: Bucket, tmp_path: Path) -> None:
    fields = {"prompt": "a hare", "file_name": "hare.png", "image": "https://elsewhere.example/a"}
    fields |= {"metadata": "mine", "row": "third"}
    params = {"path": "/v2beta/next", "credits": 2, "fields": fields}
    asked = replace(item(0, bucket.output("a")), operation="request", params=params)

    export(tmp_path, bucket, asked)

    [record] = lines_of(tmp_path / "metadata.jsonl")
    assert record["file_name"] == "00000/000000-0.png"
    assert (record["file_name_"], record["image_"]) == ("hare.png", fields["image"])
    assert "image" not in record
    assert (record["metadata"], record["metadata_"]) == ({"set": "train"}, "mine")
    assert (record["row"], record["row_"]) == (0, "third")


def test_metadata_describes_every_file_in_the_order_of_the_rows(
    bucket: Bucket, tmp_path: Path
) -> None:
    items = [item(row, bucket.output(f"k{row}")) for row in range(100)]
    blurred = replace(bucket.output("k100"), finish_reason="CONTENT_FILTERED")
    shown = replace(item(100, blurred, state="filtered"), inputs={"image": "asset:a"}, name="last")

    export(tmp_path, bucket, *items, shown)

    records = lines_of(tmp_path / "metadata.jsonl")
    assert [record["row"] for record in records] == list(range(101))
    assert records[3] == {
        "file_name": "00000/000003-0.png",
        "prompt": "fox 3",
        "seed": 40,
        "operation": "generate/core",
        "name": None,
        "row": 3,
        "job_id": "job3",
        "finish_reason": "SUCCESS",
        "credits": 3.0,
        "sha256": items[3].outputs[0].sha256,
        "width": 64,
        "height": 48,
        "metadata": {"set": "train"},
    }
    assert records[100]["finish_reason"] == "CONTENT_FILTERED"
    assert records[100]["inputs"] == {"image": "asset:a"}


def test_a_repeated_export_fetches_only_what_is_new_or_damaged(
    bucket: Bucket, tmp_path: Path
) -> None:
    first, second, third = (item(row, bucket.output(f"k{row}")) for row in range(3))
    export(tmp_path, bucket, first, second, item(2, state="queued"))
    (tmp_path / "00000/000001-0.png").write_bytes(b"x" * second.outputs[0].bytes)
    bucket.opened.clear()

    summary = export(tmp_path, bucket, first, second, third)

    assert sorted(bucket.opened) == ["k1", "k2"]
    assert (summary.files, summary.fetched) == (3, 2)
    assert (tmp_path / "00000/000001-0.png").read_bytes() == bucket.objects["k1"]
    assert len(lines_of(tmp_path / "metadata.jsonl")) == 3


def test_the_failed_rows_can_be_run_again(bucket: Bucket, tmp_path: Path) -> None:
    lost = replace(
        failed(4),
        operation="upscale/fast",
        name="fox",
        params={"output_format": "webp"},
        inputs={"image": ASSET},
    )
    states = ["canceled", "skipped", "held", "queued", "succeeded"]
    others = [item(5 + n, state=state) for n, state in enumerate(states)]

    export(tmp_path, bucket, lost, *others)
    again = list(rows(tmp_path / "failed.jsonl", Expansion()))

    assert len(again) == 4
    first = again[0]
    assert isinstance(first, JobRow)
    assert first == JobRow(
        row=0,
        source_row=1,
        operation="upscale/fast",
        params={"output_format": "webp"},
        inputs={"image": ASSET},
        name="fox",
        priority=0,
        metadata={"set": "train"},
    )
    assert [line["state"] for line in lines_of(tmp_path / "failed.jsonl")] == [
        "failed",
        *states[:3],
    ]
    assert lines_of(tmp_path / "failed.jsonl")[0]["error"]["code"] == "bad_request"


def test_the_summary_counts_states_credits_and_failures(bucket: Bucket, tmp_path: Path) -> None:
    items = [
        item(0, bucket.output("a")),
        failed(1, "content_moderation"),
        failed(2),
        failed(3),
        item(4, state="polling"),
    ]

    summary = export(tmp_path, bucket, *items)

    told = json.loads((tmp_path / "dataset.json").read_text())
    states = {"failed": 3, "polling": 1, "succeeded": 1}
    assert told["about"] == ABOUT
    assert told["format"] == "files"
    assert told["jobs"] == {
        "total": 5,
        "by_state": states,
        "by_operation": {"generate/core": states},
    }
    assert told["credits"] == 3.0
    assert told["complete"] is summary.complete is False
    assert [(group["code"], group["count"]) for group in told["failures"]] == [
        ("bad_request", 2),
        ("content_moderation", 1),
    ]
    example = {"row": 2, "job_id": "job2", "message": "bad_request happened"}
    assert told["failures"][0]["example"] == example


def test_a_lost_or_altered_object_is_reported_and_the_others_are_exported(
    bucket: Bucket, tmp_path: Path
) -> None:
    items = [item(row, bucket.output(f"k{row}")) for row in range(3)]
    del bucket.objects["k0"]
    bucket.objects["k1"] = b"y" * items[1].outputs[0].bytes

    summary = export(tmp_path, bucket, *items)

    assert files_in(tmp_path) == {
        "00000/000002-0.png",
        "metadata.jsonl",
        "failed.jsonl",
        "dataset.json",
    }
    assert (summary.files, summary.missing, summary.complete) == (1, 2, False)
    told = json.loads((tmp_path / "dataset.json").read_text())["files"]["missing_examples"]
    assert [(missing["row"], missing["why"]) for missing in told] == [
        (0, "the bucket does not hold it"),
        (1, "the bucket holds other bytes than were stored"),
    ]


def test_a_bucket_that_fails_ends_the_export_and_leaves_the_last_one_whole(
    bucket: Bucket, tmp_path: Path
) -> None:
    first, second = (item(row, bucket.output(f"k{row}")) for row in range(2))
    export(tmp_path, bucket, first)

    def open_or_fail(key: str) -> BinaryIO:
        if key == "k1":
            raise ConnectionResetError(104, "reset by peer")
        return bucket.open(key)

    with pytest.raises(StorageError, match="k1"):
        export_files([first, second], open_or_fail, tmp_path, ABOUT)

    assert files_in(tmp_path) == {
        "00000/000000-0.png",
        "metadata.jsonl",
        "failed.jsonl",
        "dataset.json",
    }
    assert len(lines_of(tmp_path / "metadata.jsonl")) == 1


def test_a_folder_of_another_batch_is_left_alone(bucket: Bucket, tmp_path: Path) -> None:
    export(tmp_path, bucket, item(0, bucket.output("a")))
    before = (tmp_path / "dataset.json").read_bytes()

    with pytest.raises(Conflict, match="another batch"):
        export(tmp_path, bucket, about={"batch_id": "b2"})

    assert (tmp_path / "dataset.json").read_bytes() == before


@pytest.mark.parametrize("content", ["no json", "[]", '{"about": 3}'])
def test_a_dataset_file_of_somebody_else_is_left_alone(
    bucket: Bucket, tmp_path: Path, content: str
) -> None:
    (tmp_path / "dataset.json").write_text(content)

    with pytest.raises(Conflict, match="another batch"):
        export(tmp_path, bucket)

    assert (tmp_path / "dataset.json").read_text() == content


def test_somebody_elses_metadata_is_not_overwritten(bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "metadata.jsonl").write_text("precious")

    with pytest.raises(Conflict, match="something else"):
        export(tmp_path, bucket)

    assert (tmp_path / "metadata.jsonl").read_text() == "precious"


def test_an_export_that_broke_off_can_be_taken_up(bucket: Bucket, tmp_path: Path) -> None:
    only = item(0, bucket.output("a"))

    def breaking() -> Iterator[Item]:
        yield only
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_files(breaking(), bucket.open, tmp_path, ABOUT)
    assert json.loads((tmp_path / "dataset.json").read_text())["complete"] is False

    assert export(tmp_path, bucket, only).complete


def test_a_file_in_the_way_is_told_in_a_sentence(bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")

    with pytest.raises(Conflict, match="is a file"):
        export(tmp_path / "out", bucket)
    with pytest.raises(Conflict, match="cannot be written: Not a directory"):
        export(tmp_path / "out" / "below", bucket)


def test_a_place_that_cannot_even_be_looked_at_is_told_in_a_sentence(
    bucket: Bucket, tmp_path: Path
) -> None:
    with pytest.raises(Conflict, match="cannot be written: File name too long"):
        export(tmp_path / ("x" * 300), bucket)


def test_a_million_rows_do_not_wait_in_memory(bucket: Bucket, tmp_path: Path) -> None:
    output = bucket.output("a")
    asked = 0

    def endless() -> Iterator[Item]:
        nonlocal asked
        while True:
            asked += 1
            yield item(asked, output)

    def open_until_it_fails(key: str) -> BinaryIO:
        raise StorageError("out of order")

    with pytest.raises(StorageError):
        export_files(endless(), open_until_it_fails, tmp_path, ABOUT)

    # The first failure surfaces as soon as the window is full.
    assert asked < 100


def test_a_stream_ends_early_when_the_bucket_fails(bucket: Bucket) -> None:
    def broken(key: str) -> BinaryIO:
        raise StorageError("The bucket does not answer.")

    received: list[bytes] = []
    with pytest.raises(StorageError):
        received.extend(tar_of([item(0, bucket.output("a"))], broken, ABOUT, MADE))

    with pytest.raises(tarfile.ReadError), tarfile.open(fileobj=io.BytesIO(b"".join(received))):
        pass


def test_a_stream_holds_little_in_memory_and_leaves_nothing_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    content = bytes(100_000)
    output = ItemOutput(
        index=0,
        key="a",
        content_type="image/png",
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    items = (item(row, output) for row in range(600))

    tracemalloc.start()
    size = sum(map(len, tar_of(items, lambda _: io.BytesIO(content), ABOUT, MADE)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert size > 600 * len(content)
    assert peak < size / 10
    assert list(tmp_path.iterdir()) == []
