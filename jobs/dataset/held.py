"""What the shards of a folder hold already, in an index that lies on the disk."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager

from jobs.dataset.harvest import exported
from jobs.dataset.item import Item, ItemOutput
from jobs.errors import Conflict


class Damaged(Exception):
    """This shard is not what was written."""


class Held:
    """Samples by key: a million of them take little memory."""

    def __init__(self, index: sqlite3.Connection) -> None:
        self._index = index
        self._index.execute(
            "CREATE TABLE held (key TEXT PRIMARY KEY, sha256 TEXT, shard TEXT, is_wanted INT)"
            " WITHOUT ROWID"
        )

    def add(self, shard: str, samples: Iterable[tuple[str, str]]) -> None:
        """Note a shard's samples, as keys with their sha256, or none of them; raises Damaged."""
        rows = ((key, sha256, shard) for key, sha256 in samples)
        try:
            with self._index:
                self._index.execute("BEGIN")
                self._index.executemany("INSERT INTO held VALUES (?, ?, ?, 0)", rows)
        except sqlite3.IntegrityError as error:
            raise Damaged("it holds what another one holds") from error

    def wanted(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items as they pass, each of their outputs marked as one that is to be held."""
        self._index.execute("BEGIN")
        for item in items:
            outputs = ((key_of(item, output), output.sha256) for output in exported(item))
            self._index.executemany(
                "UPDATE held SET is_wanted = 1 WHERE key = ? AND sha256 = ?", outputs
            )
            yield item
        self._index.execute("COMMIT")

    def drop(self, shard: str) -> None:
        """Forget a shard's samples."""
        self._index.execute("DELETE FROM held WHERE shard = ?", (shard,))

    def stale(self) -> list[str]:
        """Shards with a sample that nobody wants."""
        found = self._index.execute("SELECT DISTINCT shard FROM held WHERE is_wanted = 0")
        return [shard for (shard,) in found]

    def has(self, item: Item, output: ItemOutput) -> bool:
        """Whether some shard holds this very output."""
        found = self._index.execute("SELECT 1 FROM held WHERE key = ?", (key_of(item, output),))
        return found.fetchone() is not None


@contextmanager
def new_index() -> Iterator[Held]:
    """An empty index; `Conflict` if there is no room for it."""
    try:
        # An empty name is a database of its own on the disk, which goes when it is closed.
        with closing(sqlite3.connect("", isolation_level=None)) as index:
            yield Held(index)
    except sqlite3.OperationalError as error:
        raise Conflict(f"The export's index cannot be written: {error}.") from error


def key_of(item: Item, output: ItemOutput) -> str:
    """A sample's name: unique, without a dot, and sorted as the rows are."""
    return f"{item.row:09}-{output.index:02}"
