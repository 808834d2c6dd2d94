"""One file on its way into a shard."""

from collections.abc import Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from os import devnull
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jobs.dataset.columns import Columns
from jobs.dataset.fetch import OpenOutput
from jobs.dataset.harvest import harvest
from jobs.dataset.item import Item, ItemOutput
from jobs.dataset.tally import Tally
from jobs.storage.keys import extension_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """An output that was fetched and checked, and what is known of it."""

    key: str
    output: ItemOutput
    record: Mapping[str, Any]
    #: Its name is the sample's.
    file: Path


def sample_of(item: Item, output: ItemOutput, columns: Columns, place: Path) -> Sample:
    """An output that was fetched to `place`."""
    name = file_name(item, output)
    return Sample(
        key=key_of(item, output),
        output=output,
        record=columns.record(item, output, name),
        file=place / name,
    )


def key_of(item: Item, output: ItemOutput) -> str:
    """A sample's name: unique, without a dot, and sorted as the rows are."""
    return f"{item.row:09}-{output.index:02}"


def file_name(item: Item, output: ItemOutput) -> str:
    """What a sample's file is called: `000000012-00.png`."""
    return f"{key_of(item, output)}.{ending_of(output.content_type)}"


def ending_of(content_type: str) -> str:
    """What the name of such a file ends with; `json` is taken by the columns."""
    ending = extension_of(content_type)
    return "txt" if ending == "json" else ending


def passing_samples(
    items: Iterable[Item], open_output: OpenOutput, columns: Columns
) -> Generator[Sample, None, None]:
    """Every sample that can be had, for a stream; its file is there until the next one."""
    with TemporaryDirectory(prefix="darkroom-export-") as folder, Path(devnull).open("wb") as none:
        place = Path(folder)
        walk = harvest(
            items,
            open_output,
            lambda item, output: place / file_name(item, output),
            tally=Tally(),
            failed=none,
        )
        with closing(walk):
            for item, fetched in walk:
                sample = sample_of(item, fetched.output, columns, place)
                yield sample
                sample.file.unlink()
