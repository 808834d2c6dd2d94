"""The columns of a whole batch: the same for each of its files, whichever row comes first."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jobs.catalog.loader import catalog
from jobs.dataset.item import Item, ItemOutput
from jobs.dataset.names import FIXED, MEDIA, OTHER, TOGETHER, distinct
from jobs.dataset.records import columns_of, metadata_record
from jobs.dataset.shape import Shape, conform, merged, settled, shape_of
from jobs.errors import BatchChanged


@dataclass(frozen=True, slots=True)
class Columns:
    """What a reader finds for each file: those that hold the file itself, and all others."""

    #: Of `MEDIA`, those that some job fills.
    media: tuple[str, ...]
    #: Of `groups_of` a job, those that are not empty everywhere.
    groups: dict[str, Shape]
    #: All columns but those of the file itself.
    shape: Mapping[str, Shape]

    def record(self, item: Item, output: ItemOutput, file_name: str) -> dict[str, Any]:
        """What is known of one file, with a value, or null, for each column.

        `BatchChanged` if there is no column for something.
        """
        if medium_of(output) not in self.media:
            raise BatchChanged
        params, others = spread(conform(groups_of(item), self.groups) or {})
        known = metadata_record(item, output, file_name)
        fixed = {name: conform(known[name], shape) for name, shape in FIXED.items()}
        values = {"file_name": file_name, **params, **fixed, **others}
        return {name: values.get(name) for name in self.shape}


def learn_columns(items: Iterable[Item]) -> Columns:
    """Learn them from all jobs, also from those that have made nothing yet: so they stay.

    Memory grows with the differences between jobs, not with their number.
    """
    groups: dict[str, Shape] = {}
    media: set[str] = set()
    for item in items:
        for name, group in groups_of(item).items():
            groups[name] = merged(groups.get(name), shape_of(group))
        known = catalog().get(item.operation)
        if known and known.media in MEDIA:
            media.add(MEDIA[known.media])
        media.update(medium_of(output) for output in item.outputs)
    known_groups = {name: settled(group) for name, group in groups.items() if group}
    params, others = spread(known_groups)
    return Columns(
        media=tuple(name for name in (*MEDIA.values(), OTHER) if name in media),
        groups=known_groups,
        shape={"file_name": "string", **params, **FIXED, **others},
    )


def groups_of(item: Item) -> dict[str, dict[str, Any]]:
    """What was said of a job, by who may choose the names in it."""
    return {
        "params": columns_of(item),
        "inputs": dict(item.inputs),
        "metadata": dict(item.metadata),
    }


def spread(groups: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Groups, or their shapes, as columns: one for each parameter or for all, and the others."""
    params = groups.get("params")
    others = {name: group for name, group in groups.items() if name != "params"}
    if isinstance(params, dict):
        return {distinct(name): param for name, param in params.items()}, others
    return {TOGETHER: params} if params else {}, others


def is_picture(output: ItemOutput) -> bool:
    """Whether a loader of pictures takes it."""
    return medium_of(output) == "image"


def medium_of(output: ItemOutput) -> str:
    """The column that holds this file."""
    return MEDIA.get(output.content_type.partition("/")[0], OTHER)
