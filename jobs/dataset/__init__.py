"""Datasets: a batch's jobs and outputs as a folder of files.

An export may run at any time, and again when there is more.

`item` says what is exported, `folder` guards and writes the folder, `fetch` brings one output,
`records` shapes the lines of `metadata.jsonl` and `failed.jsonl`, `tally` sums up, and each format
is one module: `files`, and `stream` for those who have no folder here. `stored` reads what is to be
exported from the database.
"""

from jobs.dataset.files import export_files
from jobs.dataset.item import Item, ItemOutput
from jobs.dataset.tally import Summary

__all__ = ["Item", "ItemOutput", "Summary", "export_files"]
