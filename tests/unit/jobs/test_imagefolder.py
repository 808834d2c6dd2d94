"""The format `imagefolder`: what a loader of pictures finds, and what is left out."""

import io
import json
import tarfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.json
import pytest
import yaml

from jobs.dataset import Form, Item, Summary, export_dataset
from jobs.dataset.files import imagefolder
from jobs.dataset.stream import tar_of
from jobs.dataset.witness import is_timestamp
from jobs.errors import BatchChanged
from tests.datasets import ABOUT, Bucket, Changing, failed, files_in, item, lines_of

MADE = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


def export(out: Path, bucket: Bucket, *items: Item) -> Summary:
    return export_dataset(Form.IMAGEFOLDER, items, bucket.open, out, ABOUT)


def mixed(bucket: Bucket) -> list[Item]:
    """Pictures, and what is none."""
    video = item(1, bucket.output("b", content_type="video/mp4"))
    model = item(2, bucket.output("c", content_type="model/gltf-binary"))
    return [
        item(0, bucket.output("a")),
        replace(video, operation="image-to-video"),
        model,
        item(3, bucket.output("d", content_type="image/webp")),
        failed(4),
    ]


def test_only_pictures_are_there_and_the_rest_is_told(bucket: Bucket, tmp_path: Path) -> None:
    summary = export(tmp_path, bucket, *mixed(bucket))

    assert files_in(tmp_path) == {
        "00000/000000-0.png",
        "00000/000003-0.webp",
        "metadata.jsonl",
        "failed.jsonl",
        "dataset.json",
        "README.md",
    }
    left_out = {"model/gltf-binary": 1, "video/mp4": 1}
    assert (summary.files, summary.left_out, summary.complete) == (2, left_out, True)
    told = json.loads((tmp_path / "dataset.json").read_text())
    assert (told["format"], told["files"]["left_out"]) == ("imagefolder", left_out)
    names = [line["file_name"] for line in lines_of(tmp_path / "metadata.jsonl")]
    assert names == ["00000/000000-0.png", "00000/000003-0.webp"]
    assert sorted(bucket.opened) == ["a", "d"]


#: Parameters that a reader which takes types from the first lines would stumble over.
AWKWARD: list[dict[str, Any]] = [
    {"prompt": "a"},
    {"prompt": "b", "cfg_scale": 7},
    {"prompt": "c", "cfg_scale": 7.5, "size": 512},
    {"prompt": "d", "size": "1024", "extras": {"a": 1}, "source_file_name": "gone.png"},
    {"extras": {"b": [1, 2.5]}, "image": "a clash"},
]


def test_every_line_has_the_same_columns_and_types(bucket: Bucket, tmp_path: Path) -> None:
    items = [item(row, bucket.output(f"k{row}")) for row in range(len(AWKWARD))]

    export(tmp_path, bucket, *(replace(i, params=p) for i, p in zip(items, AWKWARD, strict=True)))

    lines = lines_of(tmp_path / "metadata.jsonl")
    assert all(list(line) == list(lines[0]) for line in lines)
    assert [line["cfg_scale"] for line in lines] == [None, 7.0, 7.5, None, None]
    assert [line["size"] for line in lines] == [None, None, "512", "1024", None]
    assert [line["extras"] for line in lines[3:]] == [
        {"a": 1, "b": None},
        {"a": None, "b": [1.0, 2.5]},
    ]
    # Names that the loader would take for pictures.
    assert (lines[3]["source_file_name_"], lines[4]["image_"]) == ("gone.png", "a clash")
    types = pyarrow.json.read_json(tmp_path / "metadata.jsonl").schema
    assert str(types.field("cfg_scale").type) == "double"
    assert str(types.field("size").type) == "string"


def test_the_card_names_the_files_and_the_types(bucket: Bucket, tmp_path: Path) -> None:
    rich = replace(item(1, bucket.output("b")), params={"text_prompts": [{"text": "x"}], "n": [1]})

    export(tmp_path, bucket, item(0, bucket.output("a")), rich)

    head = yaml.safe_load((tmp_path / "README.md").read_text().split("---\n")[1])
    [split] = head["configs"][0]["data_files"]
    assert {name for path in split["path"] for name in tmp_path.glob(path)} == {
        tmp_path / name for name in files_in(tmp_path) if name.startswith(("0", "meta"))
    }
    features = {feature.pop("name"): feature for feature in head["dataset_info"]["features"]}
    assert features["image"] == {"dtype": "image"}
    assert features["text_prompts"] == {"list": [{"name": "text", "dtype": "string"}]}
    assert features["n"] == {"list": "int64"}
    assert features["metadata"] == {"struct": [{"name": "set", "dtype": "string"}]}
    lines = lines_of(tmp_path / "metadata.jsonl")
    assert list(features) == ["image", *list(lines[0])[1:]]


def test_a_repeated_export_fetches_only_what_is_new(bucket: Bucket, tmp_path: Path) -> None:
    first, second = (item(row, bucket.output(f"k{row}")) for row in range(2))
    export(tmp_path, bucket, first, item(1, state="queued"))
    bucket.opened.clear()

    summary = export(tmp_path, bucket, first, second)

    assert bucket.opened == ["k1"]
    assert (summary.files, summary.fetched) == (2, 1)


def test_the_stream_is_the_folder_as_a_tar(bucket: Bucket, tmp_path: Path) -> None:
    items = mixed(bucket)
    export(tmp_path / "written", bucket, *items)

    streamed = b"".join(tar_of(items, bucket.open, ABOUT, MADE, imagefolder(items)))

    with tarfile.open(fileobj=io.BytesIO(streamed)) as archive:
        archive.extractall(tmp_path / "streamed", filter="data")
    assert files_in(tmp_path / "streamed") == files_in(tmp_path / "written")
    for name in files_in(tmp_path / "written"):
        assert (tmp_path / "streamed" / name).read_bytes() == (
            tmp_path / "written" / name
        ).read_bytes()


def test_parameters_that_are_too_many_for_columns_share_one(bucket: Bucket, tmp_path: Path) -> None:
    items = [
        replace(item(row, bucket.output(f"k{row}")), params={f"p{row}": row}) for row in range(101)
    ]

    export(tmp_path, bucket, *items)

    lines = lines_of(tmp_path / "metadata.jsonl")
    assert [line["params"] for line in lines[:2]] == ['{"p0": 0}', '{"p1": 1}']
    assert "p0" not in lines[0]


def test_a_picture_that_brings_a_column_while_the_batch_is_read_is_left_for_the_next_export(
    bucket: Bucket, tmp_path: Path
) -> None:
    first, second = item(0, bucket.output("a")), item(1, bucket.output("b"))
    then = [first, replace(second, params={"prompt": "b", "style": "neon"})]

    summary = export_dataset(
        Form.IMAGEFOLDER, Changing([first], then), bucket.open, tmp_path, ABOUT
    )

    assert (summary.files, summary.deferred, summary.complete) == (1, 1, False)
    # A picture without a line would make the whole folder unreadable.
    assert {name for name in files_in(tmp_path) if "/" in name} == {"00000/000000-0.png"}
    assert export(tmp_path, bucket, *then).complete
    items = Changing([first], then)
    with pytest.raises(BatchChanged):
        b"".join(tar_of(items, bucket.open, ABOUT, MADE, imagefolder(items)))


def test_words_of_the_loader_are_changed_wherever_they_are(bucket: Bucket, tmp_path: Path) -> None:
    cat = {"file_name": "cat.jpg"}
    odd = replace(item(0, bucket.output("a")), metadata=cat | {"list": [cat]}, inputs=cat)
    asked = {"path": "/v2beta/new", "credits": 1, "fields": {"file_name": "asked"}}
    odd = replace(odd, operation="request", params=asked)

    export(tmp_path, bucket, odd, item(1, bucket.output("b")))

    first, second = lines_of(tmp_path / "metadata.jsonl")
    assert (first["file_name"], first["file_name_"]) == ("00000/000000-0.png", "asked")
    assert first["metadata"] == {
        "file_name_": "cat.jpg",
        "list": [{"file_name_": "cat.jpg"}],
        "set": None,
    }
    assert first["inputs"] == {"file_name_": "cat.jpg"}
    assert (second["file_name"], second["file_name_"]) == ("00000/000001-0.png", None)


#: Makes a line so long that what comes after three of them is late: the loader looks at 10 MB.
LONG = "a fox " * 300_000


def many(bucket: Bucket, **metadata: Any) -> list[Item]:
    """Six rows, of which three are early."""
    items = [item(row, bucket.output("a")) for row in range(6)]
    return [replace(i, params={"prompt": LONG}, metadata=metadata) for i in items]


def order(out: Path) -> list[int]:
    return [line["row"] for line in lines_of(out / "metadata.jsonl")]


def test_a_row_that_shows_a_late_column_comes_first(bucket: Bucket, tmp_path: Path) -> None:
    items = many(bucket)
    items[4] = replace(items[4], params={"prompt": "late", "cfg_scale": 7.5}, name="late")
    # What the loader does not see shows it nothing.
    video = bucket.output("v", content_type="video/mp4")
    items[1] = replace(items[1], outputs=(video,), params=items[4].params)

    export(tmp_path, bucket, *items)

    assert order(tmp_path) == [4, 0, 2, 3, 5]


def test_rows_stay_in_their_order_where_all_columns_are_shown_early(
    bucket: Bucket, tmp_path: Path
) -> None:
    items = many(bucket)
    items[2] = replace(items[2], params={"prompt": "early", "cfg_scale": 7.5})
    items[5] = replace(items[5], params={"prompt": "another", "cfg_scale": 3})

    export(tmp_path, bucket, *items)

    assert order(tmp_path) == list(range(6))


@pytest.mark.parametrize(
    ("early", "late", "expected"),
    [
        pytest.param("2024-05-01", "unknown", [4, 0, 1, 2, 3, 5], id="text after dates"),
        pytest.param("2024-05-01T10:20Z", "2024-05", [4, 0, 1, 2, 3, 5], id="no whole date"),
        pytest.param("2024-05-01", "2024-02-30", [4, 0, 1, 2, 3, 5], id="no such day"),
        pytest.param("2024-05-01", 5, [4, 0, 1, 2, 3, 5], id="a number after dates"),
        pytest.param("unknown", "2024-05-01", [0, 1, 2, 3, 4, 5], id="a date after text"),
        pytest.param("2024-05-01", "2025-01-01 10:00", [0, 1, 2, 3, 4, 5], id="dates only"),
    ],
)
def test_text_that_is_no_time_comes_before_times(
    bucket: Bucket, tmp_path: Path, early: object, late: object, expected: list[int]
) -> None:
    items = many(bucket, taken=early)
    items[4] = replace(items[4], metadata={"taken": late})

    export(tmp_path, bucket, *items)

    assert order(tmp_path) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("2024-05-01", "2024-05-01 10", "2024-05-01T10:20", "2024-05-01T10:20:30"),
        *("2024-05-01T10:20:30Z", "2024-05-01T10:20:30+02:00", "2024-05-01T10:20+0200"),
        *("2024-05", "20240501", "2024-13-01", "2024-05-01T24:00", "2024-05-01Z", "10:20"),
        *("2024-05-01T10:20:30.5", " 2024-05-01", "2024-05-01t10:20", "٢024-05-01"),
    ],
)
def test_a_time_is_what_arrow_takes_for_one(text: str) -> None:
    line = io.BytesIO(json.dumps({"taken": text}).encode())

    found = pyarrow.json.read_json(line).schema.field("taken").type

    assert is_timestamp(text) is pyarrow.types.is_timestamp(found)


def test_fields_that_are_too_many_for_columns_bring_no_row_to_the_front(
    bucket: Bucket, tmp_path: Path
) -> None:
    items = [
        replace(item(row, bucket.output("a")), metadata={f"k{row}": 1}, params={"prompt": prompt})
        for row, prompt in enumerate([LONG] * 3 + ["a fox"] * 120)
    ]

    export(tmp_path, bucket, *items)

    assert order(tmp_path) == list(range(123))
