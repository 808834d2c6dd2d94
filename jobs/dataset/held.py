"""What the shards of a folder hold already, in an index that lies on the disk."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager

from jobs.dataset.harvest import exported
from jobs.dataset.item import Item, ItemOutput
from jobs.dataset.sample import key_of
from jobs.dataset.shard import Damaged
from jobs.errors import Conflict


class Held:
    """Samples by key: a million of them take little memory.

    A shard that was let go is not counted on any more, but known for what can be had of it.
    """

    def __init__(self, index: sqlite3.Connection) -> None:
        self._index = index
        self._index.execute(
            "CREATE TABLE held (key TEXT, shard TEXT, sha256 TEXT, is_wanted INT DEFAULT 0,"
            " is_outdated INT DEFAULT 0, PRIMARY KEY (key, shard)) WITHOUT ROWID"
        )

    def add(self, shard: str, samples: Iterable[tuple[str, str]]) -> None:
        """Note a shard's samples, as keys with their sha256, or none of them; raises Damaged."""
        try:
            self._insert("INSERT", shard, samples)
        except sqlite3.IntegrityError as error:
            raise Damaged("it holds a sample twice") from error

    def add_once(self, shard: str, samples: Iterable[tuple[str, str]]) -> None:
        """Note what can be read of a damaged shard."""
        self._insert("INSERT OR IGNORE", shard, samples)

    def _insert(self, verb: str, shard: str, samples: Iterable[tuple[str, str]]) -> None:
        rows = ((key, shard, sha256) for key, sha256 in samples)
        with self._index:
            self._index.execute("BEGIN")
            self._index.executemany(f"{verb} INTO held (key, shard, sha256) VALUES (?, ?, ?)", rows)

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

    def stale(self) -> set[str]:
        """Shards with a sample that nobody wants."""
        return self._texts("SELECT DISTINCT shard FROM held WHERE NOT is_wanted")

    def doubles(self) -> set[str]:
        """Shards with a sample that an earlier one holds too."""
        return self._texts(
            "SELECT DISTINCT late.shard FROM held AS late JOIN held AS early USING (key)"
            " WHERE early.shard < late.shard AND NOT early.is_outdated AND NOT late.is_outdated"
        )

    def let_go(self, shards: Iterable[str]) -> None:
        """Count on these no more."""
        self._index.execute("CREATE INDEX IF NOT EXISTS held_by_shard ON held (shard)")
        self._index.executemany(
            "UPDATE held SET is_outdated = 1 WHERE shard = ?", ((shard,) for shard in shards)
        )

    def has(self, item: Item, output: ItemOutput) -> bool:
        """Whether some shard holds this very output."""
        key = key_of(item, output)
        return bool(self._texts("SELECT shard FROM held WHERE key = ? AND NOT is_outdated", key))

    def last_home(self, item: Item, output: ItemOutput) -> str | None:
        """The outdated shard that this very output is taken from, if there is one."""
        query = "SELECT min(shard) FROM held WHERE key = ? AND is_wanted"
        [shard] = self._texts(query, key_of(item, output))
        return shard

    def at_home_in(self, shard: str) -> set[str]:
        """The keys of those samples of an outdated shard for which it is the last home."""
        return self._texts(
            "SELECT key FROM held AS old WHERE shard = ? AND is_wanted AND NOT EXISTS (SELECT 1"
            " FROM held WHERE key = old.key"
            " AND (NOT is_outdated OR is_wanted AND shard < old.shard))",
            shard,
        )

    def _texts(self, query: str, *values: str) -> set[str]:
        return {text for (text,) in self._index.execute(query, values)}


@contextmanager
def new_index() -> Iterator[Held]:
    """An empty index; `Conflict` if there is no room for it."""
    try:
        # An empty name is a database of its own on the disk, which goes when it is closed.
        with closing(sqlite3.connect("", isolation_level=None)) as index:
            yield Held(index)
    except sqlite3.OperationalError as error:
        raise Conflict(f"The export's index cannot be written: {error}.") from error
