"""What `--format` and `--shard-size` ask for."""

from pathlib import Path

import pytest
from typer import BadParameter

from jobs.cli.export import Shelf, shelf_of
from jobs.dataset import Form

OUT = Path("out")


@pytest.mark.parametrize(
    ("size", "expected"),
    [("100KB", 100_000), ("200MB", 200_000_000), ("1 GiB", 2**30), ("1.5g", 1_500_000_000)],
)
def test_a_size_is_written_as_people_do(size: str, expected: int) -> None:
    assert shelf_of(OUT, Form.PARQUET, size) == Shelf(OUT, Form.PARQUET, expected)


@pytest.mark.parametrize("size", ["", "banana", "10", "99KB", "-1GB", "1 parsec"])
def test_a_size_without_sense_is_refused_with_one_that_has(size: str) -> None:
    with pytest.raises(BadParameter, match="such as 200MB"):
        shelf_of(OUT, Form.WEBDATASET, size)


@pytest.mark.parametrize("form", [Form.FILES, Form.IMAGEFOLDER])
def test_a_size_is_refused_where_there_are_no_shards(form: Form) -> None:
    with pytest.raises(BadParameter, match=f"is for webdataset and parquet, not for {form}"):
        shelf_of(OUT, form, "1GB")
