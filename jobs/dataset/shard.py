"""A shard, a file of many samples, as each format writes, checks and reads it."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from jobs.dataset.columns import Columns
from jobs.dataset.form import Form
from jobs.dataset.sample import Sample


class Damaged(Exception):
    """This shard is not what was written."""


class Shard(Protocol):
    """A shard that is being written."""

    def add(self, sample: Sample) -> None:
        """Write a sample."""
        ...

    def room_for(self, sample: Sample, limit: int) -> bool:
        """Whether the shard would stay below so many bytes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardForm:
    """How one format writes and reads its shards."""

    form: Form
    #: With the shard's number as `{:05}`.
    file_name: str
    #: A shard that is there once the block ends, and not before.
    writing: Callable[[Path, Columns], AbstractContextManager[Shard]]
    #: Keys and sha256 of a shard, every byte of which was checked; raises Damaged.
    contents: Callable[[Path], Iterator[tuple[str, str]]]
    #: The names and bytes of the files in a shard that may be damaged, as far as it gives them.
    files: Callable[[Path], Iterator[tuple[str, bytes]]]
    #: Whether a shard has these columns.
    fits: Callable[[Path, Columns], bool]

    def path(self, out: Path, number: int) -> Path:
        """Where a shard lies."""
        return out / self.file_name.format(number)

    def paths(self, out: Path) -> list[Path]:
        """The shards that are there; files with other names are somebody's own."""
        before, after = map(re.escape, self.file_name.split("{:05}"))
        named = re.compile(rf"{before}\d{{5,}}{after}")
        return sorted(path for path in out.iterdir() if named.fullmatch(path.name))

    def remove(self, path: Path) -> None:
        """Delete a shard, and its checksum if it has one."""
        path.unlink()
        checksum_of(path).unlink(missing_ok=True)


def checksum_of(shard: Path) -> Path:
    """The file beside a shard that `sha256sum -c` takes."""
    return shard.with_name(f"{shard.name}.sha256")
