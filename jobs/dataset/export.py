"""A batch into a folder, in the format that was asked for."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jobs.dataset.fetch import OpenOutput
from jobs.dataset.files import export_files, imagefolder
from jobs.dataset.form import Form
from jobs.dataset.item import Item
from jobs.dataset.shards import SHARD_BYTES, export_shards
from jobs.dataset.tally import Summary
from jobs.dataset.webdataset import WEBDATASET


def export_dataset(
    form: Form,
    items: Iterable[Item],
    open_output: OpenOutput,
    out: Path,
    about: Mapping[str, Any],
    *,
    shard_bytes: int = SHARD_BYTES,
) -> Summary:
    """Write the dataset, or bring it up to date.

    The items can be read more than once, in the order of their rows. `about["batch_id"]` marks the
    folder as this batch's own.
    """
    match form:
        case Form.FILES:
            return export_files(items, open_output, out, about)
        case Form.IMAGEFOLDER:
            return export_files(items, open_output, out, about, imagefolder(items))
        case Form.WEBDATASET:
            kind = WEBDATASET
        case Form.PARQUET:
            # Its library takes a while to import, which every command would pay for.
            from jobs.dataset.parquet import PARQUET

            kind = PARQUET
    return export_shards(items, open_output, out, about, kind=kind, shard_bytes=shard_bytes)
