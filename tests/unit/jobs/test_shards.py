"""Datasets in shards: what the tars and tables hold, and what becomes of them later."""

import hashlib
import io
import json
import re
import resource
import tarfile
import tracemalloc
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, BinaryIO

import pyarrow.parquet
import pytest

from jobs.dataset import Form, Item, ItemOutput, Summary, export_dataset
from jobs.dataset.folder import sole_export
from jobs.dataset.parquet import parquet_stream
from jobs.dataset.webdataset import webdataset_stream
from jobs.errors import BatchChanged, Conflict, StorageError
from tests.datasets import ABOUT, Bucket, Changing, failed, files_in, item, lines_of

SHARDED = (Form.WEBDATASET, Form.PARQUET)
SHARDS = {Form.WEBDATASET: "shard-*.tar", Form.PARQUET: "train-*.parquet"}
STREAMS = {Form.WEBDATASET: webdataset_stream, Form.PARQUET: parquet_stream}

#: Room for two of the bucket's objects.
TWO_TARS = 7_500
TWO_ROWS = 3_000

Samples = dict[str, tuple[bytes, dict[str, Any]]]


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


@pytest.fixture(params=SHARDED)
def form(request: pytest.FixtureRequest) -> Form:
    """Each format that is written in shards."""
    return Form(request.param)


@pytest.fixture
def export(form: Form, bucket: Bucket, tmp_path: Path) -> Callable[..., Summary]:
    """Exports items into a folder, two of the bucket's objects to a shard."""

    def export(
        *items: Item,
        out: Path = tmp_path / "out",
        open_output: Callable[[str], BinaryIO] = bucket.open,
        about: Mapping[str, Any] = ABOUT,
    ) -> Summary:
        size = TWO_TARS if form is Form.WEBDATASET else TWO_ROWS
        return export_dataset(form, items, open_output, out, about, shard_bytes=size)

    return export


def grouped(tar: Path) -> Samples:
    """A tar's samples, by the rule of the readers: same name up to the first dot, side by side."""
    samples: list[tuple[str, dict[str, bytes]]] = []
    with tarfile.open(tar) as archive:
        for found in archive:
            split = re.fullmatch(r"((?:.*/|)[^.]+)[.]([^/]*)", found.name)
            assert split
            if not samples or samples[-1][0] != split[1]:
                samples.append((split[1], {}))
            file = archive.extractfile(found)
            assert file
            assert split[2] not in samples[-1][1]
            samples[-1][1][split[2]] = file.read()
    assert len({key for key, _ in samples}) == len(samples)
    read: Samples = {}
    for key, parts in samples:
        record = json.loads(parts.pop("json"))
        [(ending, content)] = parts.items()
        assert record["file_name"] == f"{key}.{ending}"
        read[key] = content, record
    return read


def tabled(table: Path) -> Samples:
    """A table's rows, by the names of their files."""
    read: Samples = {}
    for row in pyarrow.parquet.read_table(table).to_pylist():
        files = [row.pop(name, None) for name in ("image", "video", "mesh", "file")]
        [file] = filter(None, files)
        assert file["path"] == row["file_name"]
        read[Path(file["path"]).stem] = file["bytes"], row
    return read


def shards_of(out: Path, form: Form) -> list[Path]:
    return sorted(out.glob(SHARDS[form]))


def samples_of(out: Path, form: Form) -> Samples:
    """All samples of all shards; none is there twice."""
    read: Samples = {}
    for shard in shards_of(out, form):
        found = grouped(shard) if form is Form.WEBDATASET else tabled(shard)
        assert not read.keys() & found.keys()
        read |= found
    return read


def marks(paths: Iterable[Path]) -> dict[str, tuple[int, int]]:
    """What changes when a file is written again."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in paths}


def test_every_output_is_one_sample_with_its_columns(
    export: Callable[..., Summary], form: Form, bucket: Bucket, tmp_path: Path
) -> None:
    first = item(0, bucket.output("a"), bucket.output("b", index=1, content_type="image/jpeg"))
    video = replace(
        item(2_000_000, bucket.output("c", content_type="video/mp4")), operation="image-to-video"
    )

    summary = export(first, failed(7), video)

    samples = samples_of(tmp_path / "out", form)
    assert list(samples) == ["000000000-00", "000000000-01", "002000000-00"]
    assert [content for content, _ in samples.values()] == list(bucket.objects.values())
    assert samples["000000000-01"][1] == {
        "file_name": "000000000-01.jpg",
        "prompt": "fox 0",
        "seed": 41,
        "operation": "generate/core",
        "name": None,
        "row": 0,
        "job_id": "job0",
        "finish_reason": "SUCCESS",
        "credits": 3.0,
        "sha256": first.outputs[1].sha256,
        "width": 64,
        "height": 48,
        "metadata": {"set": "train"},
    }
    assert [line["job_id"] for line in lines_of(tmp_path / "out/failed.jsonl")] == ["job7"]
    told = json.loads((tmp_path / "out/dataset.json").read_text())
    assert (told["format"], told["complete"], told["files"]["count"]) == (form, True, 3)
    assert (summary.files, summary.fetched, summary.complete) == (3, 3, True)


def test_what_a_request_brought_is_a_sample_whatever_it_is(
    export: Callable[..., Summary], form: Form, bucket: Bucket, tmp_path: Path
) -> None:
    kinds = ("application/json", "audio/mpeg", "application/octet-stream")
    outputs = [bucket.output(kind, index=n, content_type=kind) for n, kind in enumerate(kinds)]
    asked = {"path": "/v2beta/new", "fields": {"prompt": "a hare"}}

    export(replace(item(0, *outputs), operation="request", params=asked))

    samples = samples_of(tmp_path / "out", form)
    assert [content for content, _ in samples.values()] == list(bucket.objects.values())
    assert [record["prompt"] for _, record in samples.values()] == ["a hare"] * 3
    names = [record["file_name"] for _, record in samples.values()]
    assert names == ["000000000-00.txt", "000000000-01.mp3", "000000000-02.bin"]


def test_shards_are_bounded_but_a_large_file_has_one_of_its_own(
    export: Callable[..., Summary], form: Form, bucket: Bucket, tmp_path: Path
) -> None:
    items = [item(row, bucket.output(f"k{row}")) for row in range(4)]
    large = item(4, bucket.output("a long name that makes it large" * 5))

    export(*items, large, item(5, bucket.output("k5")))

    counts = [
        len(grouped(shard) if form is Form.WEBDATASET else tabled(shard))
        for shard in shards_of(tmp_path / "out", form)
    ]
    assert counts == [2, 2, 1, 1]


def test_the_same_batch_makes_the_same_bytes(
    export: Callable[..., Summary], form: Form, bucket: Bucket, tmp_path: Path
) -> None:
    items = [item(row, bucket.output(f"k{row}")) for row in range(5)]

    export(*items, out=tmp_path / "one")
    export(*items, out=tmp_path / "two")

    one, two = (
        [shard.read_bytes() for shard in shards_of(tmp_path / name, form)]
        for name in ("one", "two")
    )
    assert len(one) == 3
    assert one == two


def test_a_repeated_export_adds_what_is_new_and_touches_no_other_shard(
    export: Callable[..., Summary], form: Form, bucket: Bucket, tmp_path: Path
) -> None:
    items = [item(row, bucket.output(f"k{row}")) for row in range(6)]
    pending = [replace(late, state="queued", outputs=()) for late in items]
    export(items[0], pending[1], items[2], items[3], *pending[4:])
    before = marks(shards_of(tmp_path / "out", form))
    bucket.opened.clear()

    summary = export(*items)

    after = marks(shards_of(tmp_path / "out", form))
    assert before.items() <= after.items()
    assert sorted(bucket.opened) == ["k1", "k4", "k5"]
    assert (summary.files, summary.fetched, summary.complete) == (6, 3, True)
    assert sorted(samples_of(tmp_path / "out", form)) == [f"{row:09}-00" for row in range(6)]


def test_an_export_with_nothing_new_writes_no_shard(
    export: Callable[..., Summary], form: Form, bucket: Bucket, tmp_path: Path
) -> None:
    items = [item(row, bucket.output(f"k{row}")) for row in range(3)]
    export(*items)
    before = marks(shards_of(tmp_path / "out", form))
    bucket.opened.clear()

    summary = export(*items)

    assert marks(shards_of(tmp_path / "out", form)) == before
    assert bucket.opened == []
    assert (summary.files, summary.fetched) == (3, 0)


@pytest.mark.parametrize(
    ("harm", "fetched"),
    [
        ("a flipped file", ["k2"]),
        ("a flipped column", []),
        ("torn", ["k2", "k3"]),
        ("emptied", ["k2", "k3"]),
    ],
)
def test_a_damaged_shard_is_made_again_out_of_what_is_sound_in_it_and_no_other(
    export: Callable[..., Summary],
    form: Form,
    bucket: Bucket,
    tmp_path: Path,
    harm: str,
    fetched: list[str],
) -> None:
    items = [item(row, bucket.output(f"k{row}")) for row in range(6)]
    export(*items)
    shards = shards_of(tmp_path / "out", form)
    before, content = marks([shards[0], shards[2]]), shards[1].read_bytes()
    at, column_at = content.index(b"bytes of k2") + 50, content.index(b"fox 2")
    harmed = {
        "a flipped file": content[:at] + b"!" + content[at + 1 :],
        "a flipped column": content[:column_at] + b"h" + content[column_at + 1 :],
        "torn": content[:at],
        "emptied": b"",
    }
    if form is Form.PARQUET and harm == "a flipped file":
        # What is alike is compressed together.
        fetched = ["k2", "k3"]
    shards[1].write_bytes(harmed[harm])
    bucket.opened.clear()

    summary = export(*items)

    assert sorted(bucket.opened) == fetched
    assert (summary.files, summary.fetched, summary.complete) == (6, len(fetched), True)
    again = shards_of(tmp_path / "out", form)
    assert again[:2] == [shards[0], shards[2]]
    assert again[2].read_bytes() == content
    assert marks([shards[0], shards[2]]) == before
    assert len(samples_of(tmp_path / "out", form)) == 6


def outdate(
    export: Callable[..., Summary], form: Form, bucket: Bucket, tmp_path: Path
) -> list[Item]:
    """Export six samples, and give them as a batch for which all shards are made again."""
    items = [item(row, bucket.output(f"k{row}")) for row in range(6)]
    export(*items)
    if form is Form.PARQUET:
        # A column comes.
        return [*items, replace(item(6, state="queued"), params={"style": "neon"})]
    for path in (tmp_path / "out").glob("*.sha256"):
        path.unlink()
    return items


def test_shards_are_made_again_without_the_bucket(
    export: Callable[..., Summary], form: Form, bucket: Bucket, tmp_path: Path
) -> None:
    items = outdate(export, form, bucket, tmp_path)
    bucket.objects.clear()
    bucket.opened.clear()

    summary = export(*items)

    assert (summary.files, summary.missing, summary.fetched) == (6, 0, 0)
    assert bucket.opened == []
    samples = samples_of(tmp_path / "out", form)
    assert [content for content, _ in samples.values()] == [
        f"bytes of k{row}".encode() * 100 for row in range(6)
    ]
    if form is Form.PARQUET:
        assert all(record["style"] is None for _, record in samples.values())
    again = marks(shards_of(tmp_path / "out", form))
    export(*items)
    assert marks(shards_of(tmp_path / "out", form)) == again


def test_shards_stay_until_others_hold_what_they_held(
    export: Callable[..., Summary], form: Form, bucket: Bucket, tmp_path: Path
) -> None:
    items = outdate(export, form, bucket, tmp_path)
    before = marks(shards_of(tmp_path / "out", form))
    ended = item(6, bucket.output("k6"))

    def away(key: str) -> BinaryIO:
        raise ConnectionResetError(104, "reset by peer")

    with pytest.raises(StorageError, match="k6"):
        export(*items[:6], replace(ended, params={"style": "neon"}), open_output=away)

    assert before.items() <= marks(shards_of(tmp_path / "out", form)).items()
    assert json.loads((tmp_path / "out/dataset.json").read_text())["complete"] is False
    bucket.opened.clear()
    assert export(*items[:6], replace(ended, params={"style": "neon"})).complete
    assert bucket.opened == ["k6"]
    assert len(samples_of(tmp_path / "out", form)) == 7
    assert not before.keys() & {path.name for path in shards_of(tmp_path / "out", form)}


def test_files_of_somebody_beside_the_shards_are_left_alone(
    export: Callable[..., Summary], form: Form, bucket: Bucket, tmp_path: Path
) -> None:
    export(item(0, bucket.output("a")))
    beside = tmp_path / "out" / SHARDS[form].replace("*", "00000-of-00001")
    beside.write_bytes(b"precious")

    export(item(0, bucket.output("a")))

    assert beside.read_bytes() == b"precious"


def test_a_shard_of_somebody_among_ours_is_refused_and_kept(
    export: Callable[..., Summary], form: Form, bucket: Bucket, tmp_path: Path
) -> None:
    export(item(0, bucket.output("a")))
    theirs = tmp_path / "out" / SHARDS[form].replace("*", "00007")
    if form is Form.PARQUET:
        pyarrow.parquet.write_table(pyarrow.table({"prompt": ["theirs"]}), theirs)
    else:
        with tarfile.open(theirs, "w") as archive:
            archive.add(__file__, "cat.png")
    before = theirs.read_bytes()

    with pytest.raises(Conflict, match=f"{theirs.name} was not written here; move it"):
        export(item(0, bucket.output("a")))

    assert theirs.read_bytes() == before
    assert json.loads((tmp_path / "out/dataset.json").read_text())["complete"] is True


def test_a_shard_with_what_another_one_holds_goes(
    export: Callable[..., Summary], form: Form, bucket: Bucket, tmp_path: Path
) -> None:
    export(item(0, bucket.output("a")))
    [shard] = shards_of(tmp_path / "out", form)
    for path in (tmp_path / "out").glob(f"{shard.name}*"):
        path.with_name(path.name.replace("00000", "00004")).write_bytes(path.read_bytes())

    summary = export(item(0, bucket.output("a")))

    assert shards_of(tmp_path / "out", form) == [shard]
    assert (summary.files, summary.fetched) == (1, 0)


def late(bucket: Bucket) -> dict[str, tuple[list[Item], list[Item]]]:
    """A batch as it is read first, and as it is read then: the last row does not fit."""
    first, second = item(0, bucket.output("a")), item(1, bucket.output("b"))
    request = replace(second, operation="request", params={"path": "/v2beta/new", "credits": 1})
    audio = replace(request, outputs=(bucket.output("b", content_type="audio/mpeg"),))

    def with_metadata(old: object, new: object) -> tuple[list[Item], list[Item]]:
        before = replace(first, metadata={"k": old})
        return [before], [before, replace(second, metadata={"k": new})]

    return {
        "a medium": (
            [first, replace(audio, state="polling", outputs=())],
            [first, audio],
        ),
        "a parameter": ([first], [first, replace(second, params={"style": "neon"})]),
        "a group": ([first], [first, replace(second, inputs={"image": "asset"})]),
        "a field": with_metadata({"a": 1}, {"a": 1, "b": 2}),
        "text for a number": with_metadata(1, "x"),
        "text for an object": with_metadata({"a": 1}, "x"),
        "a list for an object": with_metadata({"a": 1}, [1]),
        "a number for a list": with_metadata([1], 1),
        "a list for a number": with_metadata(1, [1]),
        "too large a number": with_metadata(1, 2**63),
    }


@pytest.mark.parametrize("what", late(Bucket()))
def test_what_came_with_new_columns_while_it_was_read_is_left_for_the_next_export(
    form: Form, bucket: Bucket, tmp_path: Path, what: str
) -> None:
    first, then = late(bucket)[what]

    summary = export_dataset(form, Changing(first, then), bucket.open, tmp_path, ABOUT)

    assert (summary.files, summary.deferred, summary.complete) == (1, 1, False)
    assert len(samples_of(tmp_path, form)) == 1
    told = json.loads((tmp_path / "dataset.json").read_text())
    assert (told["complete"], told["files"]["deferred"]) == (False, 1)
    assert export_dataset(form, then, bucket.open, tmp_path, ABOUT).complete
    assert len(samples_of(tmp_path, form)) == 2
    with pytest.raises(BatchChanged):
        b"".join(STREAMS[form](Changing(first, then), bucket.open))


@pytest.mark.parametrize("name", ["metadata", "inputs", "params", "file", "sha256", "row"])
def test_a_parameter_may_be_called_like_any_column(
    form: Form, bucket: Bucket, tmp_path: Path, name: str
) -> None:
    asked = {"path": "/v2beta/new", "credits": 1, "fields": {name: "asked", f"{name}_": "too"}}
    odd = replace(
        item(0, bucket.output("a")), operation="request", params=asked, inputs={"a": "asset"}
    )

    export_dataset(form, [odd, item(1, bucket.output("b"))], bucket.open, tmp_path, ABOUT)

    records = [record for _, record in samples_of(tmp_path, form).values()]
    assert [record[f"{name}_"] for record in records] == ["asked", None]
    assert [record[f"{name}__"] for record in records] == ["too", None]
    assert [record["row"] for record in records] == [0, 1]
    assert [record["metadata"] for record in records] == [{"set": "train"}] * 2
    assert [record["inputs"] for record in records] == [{"a": "asset"}, None]


def test_a_shard_with_what_does_not_belong_there_any_more_is_made_again(
    export: Callable[..., Summary], form: Form, bucket: Bucket, tmp_path: Path
) -> None:
    items = [item(row, bucket.output(f"k{row}")) for row in range(4)]
    export(*items)
    items[1] = item(1, bucket.output("k9"))
    gone = [replace(old, state="failed", outputs=()) for old in items[2:]]

    export(*items[:2], *gone)

    samples = samples_of(tmp_path / "out", form)
    assert sorted(samples) == [f"{row:09}-00" for row in range(2)]
    assert samples["000000001-00"][0] == bucket.objects["k9"]
    shards = {path.name for path in shards_of(tmp_path / "out", form)}
    assert {path.stem for path in (tmp_path / "out").glob("*.sha256")} <= shards


def test_what_the_bucket_lost_is_told_and_added_when_it_is_back(
    export: Callable[..., Summary], form: Form, bucket: Bucket, tmp_path: Path
) -> None:
    items = [item(row, bucket.output(f"k{row}")) for row in range(3)]
    lost = bucket.objects.pop("k0")
    altered, bucket.objects["k1"] = bucket.objects["k1"], b"y" * items[1].outputs[0].bytes

    first = export(*items)
    samples = samples_of(tmp_path / "out", form)
    bucket.objects |= {"k0": lost, "k1": altered}
    second = export(*items)

    assert (first.files, first.missing, first.complete) == (1, 2, False)
    assert list(samples) == ["000000002-00"]
    assert (second.files, second.missing, second.complete) == (3, 0, True)
    assert sorted(samples_of(tmp_path / "out", form)) == [f"{row:09}-00" for row in range(3)]


def test_a_bucket_that_fails_leaves_whole_shards_and_nothing_else(
    export: Callable[..., Summary], form: Form, bucket: Bucket, tmp_path: Path
) -> None:
    items = [item(row, bucket.output(f"k{row}")) for row in range(4)]

    def open_or_fail(key: str) -> BinaryIO:
        if key == "k3":
            raise ConnectionResetError(104, "reset by peer")
        return bucket.open(key)

    with pytest.raises(StorageError, match="k3"):
        export(*items, open_output=open_or_fail)
    left = samples_of(tmp_path / "out", form)
    rest = {path.name for path in (tmp_path / "out").iterdir()}

    assert list(left) == ["000000000-00", "000000001-00"]
    assert not any(name.endswith(".part") for name in rest)
    assert json.loads((tmp_path / "out/dataset.json").read_text())["complete"] is False
    assert export(*items).fetched == 2


def test_a_disk_that_takes_no_more_is_told_in_a_sentence_and_leaves_nothing_half(
    export: Callable[..., Summary], form: Form, bucket: Bucket, tmp_path: Path
) -> None:
    items = [item(row, bucket.output(f"k{row}")) for row in range(2)]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500, hard))
    try:
        with pytest.raises(Conflict, match="cannot be written: File too large"):
            export(*items)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert shards_of(tmp_path / "out", form) == []
    assert not list((tmp_path / "out").glob(".*.part"))


def test_two_exports_do_not_write_into_one_folder_at_once(
    export: Callable[..., Summary], bucket: Bucket, tmp_path: Path
) -> None:
    export(item(0, bucket.output("a")))

    with sole_export(tmp_path / "out"), pytest.raises(Conflict, match="Another export is writing"):
        export(item(0, bucket.output("a")), item(1, bucket.output("b")))

    assert export(item(0, bucket.output("a")), item(1, bucket.output("b"))).fetched == 1


def test_leftovers_of_a_killed_export_are_cleared_away(
    export: Callable[..., Summary], form: Form, bucket: Bucket, tmp_path: Path
) -> None:
    export(item(0, bucket.output("a")))
    whole = files_in(tmp_path / "out")
    (tmp_path / "out/.fetched").mkdir()
    (tmp_path / "out/.fetched/000000001-00.png").write_bytes(b"half")
    (tmp_path / f"out/.{SHARDS[form].replace('*', '00001')}.123.part").write_bytes(b"half")

    export(item(0, bucket.output("a")))

    assert files_in(tmp_path / "out") == whole


@pytest.mark.parametrize("other", [Form.FILES, Form.IMAGEFOLDER, *SHARDED])
def test_a_folder_of_another_format_is_left_alone(
    export: Callable[..., Summary], form: Form, bucket: Bucket, tmp_path: Path, other: Form
) -> None:
    items = [item(0, bucket.output("a"))]
    export_dataset(other, items, bucket.open, tmp_path / "out", ABOUT)
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}

    if other is form:
        export(*items)
    else:
        with pytest.raises(Conflict, match=f"holds this batch as {other}; .* --format {other}"):
            export(*items)

    assert {path: path.read_bytes() for path in before} == before


def test_a_folder_of_another_batch_or_of_somebody_is_left_alone(
    export: Callable[..., Summary], form: Form, bucket: Bucket, tmp_path: Path
) -> None:
    export(item(0, bucket.output("a")))
    (tmp_path / "theirs").mkdir()
    theirs = tmp_path / "theirs" / SHARDS[form].replace("*", "old")
    theirs.write_bytes(b"precious")

    with pytest.raises(Conflict, match="another batch"):
        export(item(0, bucket.output("b")), about={"batch_id": "b2"})
    with pytest.raises(Conflict, match=f"{theirs.name} of something else"):
        export(item(0, bucket.output("b")), out=tmp_path / "theirs")

    assert theirs.read_bytes() == b"precious"


def test_a_card_that_somebody_wrote_is_kept(
    export: Callable[..., Summary], bucket: Bucket, tmp_path: Path
) -> None:
    export(item(0, bucket.output("a")))
    ours = (tmp_path / "out/README.md").read_text()
    (tmp_path / "out/README.md").write_text("# Our foxes")

    export(item(0, bucket.output("a")), item(1, bucket.output("b")))

    assert "data_files" in ours
    assert (tmp_path / "out/README.md").read_text() == "# Our foxes"


def test_checksums_are_those_of_the_tars(bucket: Bucket, tmp_path: Path) -> None:
    items = [item(row, bucket.output(f"k{row}")) for row in range(3)]

    export_dataset(Form.WEBDATASET, items, bucket.open, tmp_path, ABOUT, shard_bytes=TWO_TARS)

    names = ["shard-00000.tar", "shard-00001.tar"]
    assert [path.name for path in shards_of(tmp_path, Form.WEBDATASET)] == names
    for name in names:
        digest = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
        assert (tmp_path / f"{name}.sha256").read_text() == f"{digest}  {name}\n"


def test_tables_have_the_same_types_whatever_their_first_rows_lack(
    bucket: Bucket, tmp_path: Path
) -> None:
    plain = [item(row, bucket.output(f"k{row}")) for row in range(2)]
    rich = replace(
        item(2, bucket.output("k2")),
        params={"prompt": "a", "cfg_scale": 7.5, "text_prompts": [{"text": "a", "weight": 1}]},
    )
    waiting = replace(item(3, state="queued"), operation="image-to-video", params={"seed": 3})

    export_dataset(
        Form.PARQUET, [*plain, rich, waiting], bucket.open, tmp_path, ABOUT, shard_bytes=TWO_ROWS
    )

    first, second = (
        pyarrow.parquet.read_schema(path) for path in shards_of(tmp_path, Form.PARQUET)
    )
    assert first.equals(second, check_metadata=True)
    assert str(first.field("cfg_scale").type) == "double"
    assert str(first.field("video").type) == "struct<bytes: binary, path: string>"
    features = json.loads(first.metadata[b"huggingface"])["info"]["features"]
    assert features == {"image": {"_type": "Image"}, "video": {"_type": "Video"}}


def test_tables_are_written_again_when_a_column_comes_to_them(
    bucket: Bucket, tmp_path: Path
) -> None:
    first = item(0, bucket.output("a"))
    export_dataset(Form.PARQUET, [first], bucket.open, tmp_path, ABOUT)
    second = replace(item(1, bucket.output("b")), params={"prompt": "b", "style": "neon"})

    export_dataset(Form.PARQUET, [first, second], bucket.open, tmp_path, ABOUT)

    rows = [record for _, record in samples_of(tmp_path, Form.PARQUET).values()]
    assert [row["style"] for row in rows] == [None, "neon"]


def test_a_stream_is_the_shard_that_a_folder_would_hold(
    form: Form, bucket: Bucket, tmp_path: Path
) -> None:
    items = [item(row, bucket.output(f"k{row}")) for row in range(5)]

    streamed = b"".join(STREAMS[form](items, bucket.open))

    export_dataset(form, items, bucket.open, tmp_path, ABOUT)
    [shard] = shards_of(tmp_path, form)
    assert streamed == shard.read_bytes()


def test_a_stream_that_was_cut_off_is_not_taken_for_a_whole_one(
    form: Form, bucket: Bucket, tmp_path: Path
) -> None:
    items = [item(row, bucket.output(f"k{row}")) for row in range(3)]

    def open_or_fail(key: str) -> BinaryIO:
        if key == "k2":
            raise StorageError("The bucket does not answer.")
        return bucket.open(key)

    received: list[bytes] = []
    with pytest.raises(StorageError):
        received.extend(STREAMS[form](items, open_or_fail))

    (tmp_path / "cut").write_bytes(b"".join(received))
    if form is Form.WEBDATASET:
        # GNU tar says "Unexpected EOF", and Python's tarfile when it reads on.
        assert not b"".join(received).endswith(bytes(1024))
    else:
        with pytest.raises(pyarrow.ArrowInvalid):
            pyarrow.parquet.read_table(tmp_path / "cut")


def test_texts_count_in_the_size_of_a_shard(
    export: Callable[..., Summary], form: Form, bucket: Bucket, tmp_path: Path
) -> None:
    wordy = [
        replace(item(row, bucket.output(f"k{row}")), params={"prompt": "a fox " * 1_000})
        for row in range(3)
    ]

    export(*wordy)

    assert len(shards_of(tmp_path / "out", form)) == 3


def test_a_group_of_rows_is_bounded_by_their_texts_too(bucket: Bucket) -> None:
    output, prompt = bucket.output("a"), "a fox " * 200_000
    items = [replace(item(row, output), params={"prompt": prompt}) for row in range(120)]

    table = b"".join(parquet_stream(items, bucket.open))

    assert pyarrow.parquet.ParquetFile(io.BytesIO(table)).num_row_groups == 3


def test_a_stream_holds_little_in_memory(form: Form) -> None:
    content = Random(0).randbytes(400_000)
    output = ItemOutput(
        index=0,
        key="a",
        content_type="image/png",
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    items = [item(row, output) for row in range(400)]

    tracemalloc.start()
    size = sum(map(len, STREAMS[form](items, lambda _: io.BytesIO(content))))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert size > 400 * len(content)
    assert peak < 0.7 * size
