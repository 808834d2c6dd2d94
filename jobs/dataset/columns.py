"""The columns of a whole batch: the same for each of its files, whichever row comes first."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jobs.catalog.loader import catalog
from jobs.dataset.item import Item, ItemOutput
from jobs.dataset.names import MEDIA, OTHER, TOGETHER, free_name
from jobs.dataset.records import columns_of, metadata_record
from jobs.dataset.shape import Shape, conform, merged, settled, shape_of

#: What every record has.
FIXED: dict[str, Shape] = {
    "operation": "string",
    "name": "string",
    "row": "int64",
    "job_id": "string",
    "seed": "int64",
    "finish_reason": "string",
    "credits": "float64",
    "sha256": "string",
    "width": "int64",
    "height": "int64",
}


@dataclass(frozen=True, slots=True)
class Columns:
    """What a reader finds for each file: those that hold the file itself, and all others."""

    #: Of `MEDIA`, those that some job fills.
    media: tuple[str, ...]
    shape: Mapping[str, Shape]

    def record(self, item: Item, output: ItemOutput, file_name: str) -> dict[str, Any]:
        """What is known of one file, with a value, or null, for each column."""
        named = metadata_record(item, output, file_name) | {TOGETHER: columns_of(item)}
        return {name: conform(named.get(name), shape) for name, shape in self.shape.items()}


def learn_columns(items: Iterable[Item]) -> Columns:
    """Learn them from all jobs, also from those that have made nothing yet: so they stay.

    Memory grows with the differences between jobs, not with their number.
    """
    params: Shape = None
    inputs: Shape = None
    metadata: Shape = None
    media: set[str] = set()
    for item in items:
        params = merged(params, shape_of(columns_of(item)))
        inputs = merged(inputs, shape_of(item.inputs))
        metadata = merged(metadata, shape_of(item.metadata))
        known = catalog().get(item.operation)
        if known and known.media in MEDIA:
            media.add(MEDIA[known.media])
        media.update(medium_of(output) for output in item.outputs)
    groups = {"inputs": inputs, "metadata": metadata}
    return Columns(
        media=tuple(name for name in (*MEDIA.values(), OTHER) if name in media),
        shape={
            "file_name": "string",
            **spread(settled(params or {})),
            **FIXED,
            **{name: settled(group) for name, group in groups.items() if group},
        },
    )


def spread(params: Shape) -> dict[str, Shape]:
    """A column for each parameter, or one for all."""
    if isinstance(params, dict):
        return {free_name(name): shape for name, shape in params.items()}
    return {TOGETHER: params}


def is_picture(output: ItemOutput) -> bool:
    """Whether a loader of pictures takes it."""
    return medium_of(output) == "image"


def medium_of(output: ItemOutput) -> str:
    """The column that holds this file."""
    return MEDIA.get(output.content_type.partition("/")[0], OTHER)
