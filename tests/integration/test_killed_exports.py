"""An export that is killed, and begun again."""

import subprocess
import sys
from pathlib import Path

import pytest

from jobs.dataset import Form
from jobs.errors import Conflict
from tests.integration import exporter
from tests.servers import wait_until

REPOSITORY = Path(__file__).parents[2]

SHARDS = {Form.WEBDATASET: "shard-*.tar", Form.PARQUET: "train-*.parquet"}


def contents(out: Path) -> dict[str, bytes]:
    """What a reader sees; hidden files are none of theirs."""
    return {path.name: path.read_bytes() for path in out.iterdir() if not path.name.startswith(".")}


@pytest.mark.parametrize("form", [Form.WEBDATASET, Form.PARQUET])
def test_what_a_killed_export_left_is_whole_and_the_next_one_goes_on(
    form: Form, tmp_path: Path
) -> None:
    # Given an export that stands still in the middle of its third shard
    command = [sys.executable, "-m", "tests.integration.exporter", form, tmp_path / "out", "7", "5"]
    exporter.export(form, tmp_path / "expected", 7)
    expected = contents(tmp_path / "expected")
    with subprocess.Popen(command, cwd=REPOSITORY) as child:
        try:
            wait_until(lambda: len(shards(form, tmp_path / "out")) == 2, "two shards are whole")

            # When another one comes, it is refused; and when the first is killed
            with pytest.raises(Conflict, match="Another export"):
                exporter.export(form, tmp_path / "out", 7)
        finally:
            child.kill()

    # Then what looks like a shard is one
    left = {
        name: content
        for name, content in contents(tmp_path / "out").items()
        if name.startswith(("shard-", "train-"))
    }
    assert left.items() <= expected.items()
    assert b'"complete": false' in contents(tmp_path / "out")["dataset.json"]

    # And the next one writes the rest only
    assert exporter.export(form, tmp_path / "out", 7).fetched == 3
    assert contents(tmp_path / "out") == expected


def test_shards_that_are_made_again_outlive_an_export_that_is_killed(tmp_path: Path) -> None:
    # Given shards without their checksums, one with a wrong byte in the file of row 5
    form, out = Form.WEBDATASET, tmp_path / "out"
    exporter.export(form, out, 7)
    for checksum in out.glob("*.sha256"):
        checksum.unlink()
    damaged = out / "shard-00002.tar"
    damaged.write_bytes(damaged.read_bytes().replace(exporter.content_of(5), b"!" * 1200))
    before = {path.name: path.read_bytes() for path in shards(form, out)}

    # When an export of them is killed at row 5
    command = [sys.executable, "-m", "tests.integration.exporter", form, out, "7", "5"]
    with subprocess.Popen(command, cwd=REPOSITORY) as child:
        try:
            wait_until(lambda: len(shards(form, out)) == 6, "two shards are made again")
        finally:
            child.kill()

    # Then all of them are still there, and the next one needs only that file
    assert before.items() <= contents(out).items()
    assert b'"complete": false' in contents(out)["dataset.json"]
    summary = exporter.export(form, out, 7)
    assert (summary.files, summary.fetched, summary.complete) == (7, 1, True)
    assert not before.keys() & {path.name for path in shards(form, out)}


def shards(form: Form, out: Path) -> list[Path]:
    return list(out.glob(SHARDS[form]))
