"""Rows that show what a column holds, for a reader who looks at the first lines only.

Hugging Face's loader takes the types of `metadata.jsonl` from its first 10 MB. A column that has
no value there would be one of nulls, and its first value an error.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from typing import Any

from jobs.dataset.columns import is_picture
from jobs.dataset.harvest import exported
from jobs.dataset.item import Item
from jobs.dataset.records import metadata_record

#: So many lines are within the first 10 MB, if none is longer than 20 kB.
EARLY_LINES = 500

#: Far more than a dataset has columns; it bounds the memory.
MOST_PATHS = 10_000

FieldPath = tuple[str, ...]


class Witnesses:
    """Notes, as items pass, which of them come late and have a value where none before had one."""

    def __init__(self) -> None:
        #: By row.
        self.late: dict[int, Item] = {}
        self._seen: set[FieldPath] = set()

    def passing(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items as they are."""
        lines = count()
        for item in items:
            for output in filter(is_picture, exported(item)):
                new = set(paths(metadata_record(item, output, ""))) - self._seen
                is_late = next(lines) >= EARLY_LINES
                if new and len(self._seen) < MOST_PATHS:
                    self._seen |= new
                    if is_late:
                        self.late[item.row] = item
            yield item


def first_come(late: Mapping[int, Item], items: Iterable[Item]) -> Iterator[Item]:
    """The witnesses, and then all others in their order."""
    yield from late.values()
    yield from (item for item in items if item.row not in late)


def paths(value: Any, path: FieldPath = ()) -> Iterator[FieldPath]:
    """Where there is a value, down to the fields of objects and the members of lists."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from paths(part, (*path, name))
    elif isinstance(value, list):
        yield path
        for part in value:
            yield from paths(part, (*path, ""))
    elif value is not None:
        yield path
