"""Datasets: a batch's jobs and outputs as a folder of files.

An export may run at any time, and again when there is more.

`item` says what is exported, `stored` reads it from the database, `harvest` walks over it, `fetch`
brings one output, `folder` guards and writes the folder, `records` shapes the lines of
`metadata.jsonl` and `failed.jsonl`, `columns` gives them types (which `shape` learns), `tally` sums
up, `card` describes. `files` writes the formats that are folders of files (for one of them
`witness` picks the first lines), `webdataset` and `parquet` those in `shards` of `sample`s, as
`shard` says, of which `held` knows the older ones and `salvage` makes some again; `stream` and the
latter two also write for those who have no folder here. `export` knows all formats.
"""

from jobs.dataset.export import export_dataset
from jobs.dataset.files import export_files
from jobs.dataset.form import Form
from jobs.dataset.item import Item, ItemOutput
from jobs.dataset.tally import Summary

__all__ = ["Form", "Item", "ItemOutput", "Summary", "export_dataset", "export_files"]
