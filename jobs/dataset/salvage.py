"""Shards that are made again: they stay until others hold their samples, and give their bytes.

So nothing is fetched twice, and what the bucket has lost meanwhile is kept.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from jobs.dataset.columns import Columns, learn_columns
from jobs.dataset.held import Held
from jobs.dataset.item import Item, ItemOutput
from jobs.dataset.sample import file_name
from jobs.dataset.shard import Damaged, ShardForm
from jobs.errors import Conflict

#: Of a sample of ours.
KEY = re.compile(r"\d{9,}-\d{2,}")


@dataclass(kw_only=True)
class Salvage:
    """The shards of a folder: which of them stay, and what can be had of the others."""

    out: Path
    #: A folder for files on their way into new shards.
    place: Path
    kind: ShardForm
    held: Held
    _outdated: set[str] = field(default_factory=set, init=False)
    _unpacked: set[str] = field(default_factory=set, init=False)

    def survey(self, items: Iterable[Item]) -> Columns:
        """Learn the columns, and which shards are to be made again."""
        for path in self.kind.paths(self.out):
            try:
                self.held.add(path.name, self.kind.contents(path))
            except Damaged:
                self._outdated.add(path.name)
                self.held.add_once(path.name, self._readable(path))
        columns = learn_columns(self.held.wanted(items))
        sound = [path for path in self.kind.paths(self.out) if path.name not in self._outdated]
        self._outdated.update(path.name for path in sound if not self.kind.fits(path, columns))
        self._outdated.update(self.held.stale())
        self.held.let_go(self._outdated)
        # An export that was killed may have left a shard and those that were to replace it.
        doubles = self.held.doubles()
        self._outdated.update(doubles)
        self.held.let_go(doubles)
        return columns

    def target_of(self, item: Item, output: ItemOutput) -> Path | None:
        """Where the output is to lie, with its bytes if they are here; None if it is held."""
        if self.held.has(item, output):
            return None
        shard = self.held.last_home(item, output)
        if shard and shard not in self._unpacked:
            self._unpacked.add(shard)
            self._unpack(shard)
        return self.place / file_name(item, output)

    def clear(self) -> None:
        """Delete the shards whose samples are in others now."""
        for name in self._outdated:
            self.kind.remove(self.out / name)

    def _unpack(self, shard: str) -> None:
        """Lay out the files of a shard that are wanted and nowhere else."""
        keys = self.held.at_home_in(shard)
        for name, content in self.kind.files(self.out / shard):
            if key_in(name) in keys:
                (self.place / Path(name).name).write_bytes(content)

    def _readable(self, path: Path) -> list[tuple[str, str]]:
        """What is to be had of a damaged shard; `Conflict` if that is somebody else's."""
        found = [
            (key_in(name), hashlib.sha256(content).hexdigest())
            for name, content in self.kind.files(path)
        ]
        if found and not any(KEY.fullmatch(key) for key, _ in found):
            raise Conflict(f"{path} was not written here; move it elsewhere.")
        return found


def key_in(name: str) -> str:
    """The key of the sample whose file is called so."""
    return name.partition(".")[0]
