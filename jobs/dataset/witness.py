"""Rows that show what a column holds, for a reader who looks at the first lines only.

Hugging Face's loader takes the types of `metadata.jsonl` from its first 10 MB. A column that has
no value there would be one of nulls, and one with dates only would be one of timestamps: the first
value of another kind would be an error.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from jobs.dataset.columns import Columns, is_picture
from jobs.dataset.folder import json_line
from jobs.dataset.harvest import exported
from jobs.dataset.item import Item
from jobs.errors import BatchChanged

#: Half of what the loader looks at first; the other half is for the witnesses themselves.
EARLY_BYTES = 5_000_000

#: Text that Arrow takes for a time, if there is such a day.
TIMESTAMP = re.compile(
    r"\d{4}-\d\d-\d\d([ T]\d\d(:\d\d(:\d\d)?)?(Z|[+-]\d\d(:?\d\d)?)?)?", re.ASCII
)

FieldPath = tuple[str, ...]


def late_witnesses(items: Iterable[Item], columns: Columns) -> frozenset[int]:
    """The rows that come late, and have a value where no line before them had one of its kind."""
    late: set[int] = set()
    seen: set[FieldPath] = set()
    size = 0
    for item in items:
        for record in records(item, columns):
            new = set(paths(record)) - seen
            if new and size >= EARLY_BYTES:
                late.add(item.row)
            seen |= new
            if size < EARLY_BYTES:
                size += len(json_line(record))
    return frozenset(late)


def records(item: Item, columns: Columns) -> Iterator[dict[str, Any]]:
    """The lines of a job's pictures, as far as they fit."""
    for output in filter(is_picture, exported(item)):
        with suppress(BatchChanged):
            yield columns.record(item, output, "")


def first_come(rows: Collection[int], items: Iterable[Item]) -> Iterator[Item]:
    """The items of these rows, and then all others; both in their order."""
    if rows:
        last = max(rows)
        for item in items:
            if item.row in rows:
                yield item
            if item.row >= last:
                break
    yield from (item for item in items if item.row not in rows)


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
        if isinstance(value, str) and not is_timestamp(value):
            yield (*path, "text")


def is_timestamp(text: str) -> bool:
    """Whether Arrow takes this for a time."""
    if not TIMESTAMP.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
