"""The lines of a dataset: of an output in `metadata.jsonl`, of a job in `failed.jsonl`."""

from typing import Any

from jobs.catalog.loader import catalog
from jobs.catalog.operation import MILLI
from jobs.dataset.item import Item, ItemOutput
from jobs.dataset.names import free_name


def metadata_record(item: Item, output: ItemOutput, file_name: str) -> dict[str, Any]:
    """What is known of one file, its parameters beside it as columns.

    The seed is the one that the API reports; inputs stay together, and a field `image` gets
    another name, because it would clash with the column that Hugging Face makes of the file
    itself. Empty groups are left out: Parquet has no struct without fields.
    """
    record = {
        "file_name": file_name,
        **{free_name(name): value for name, value in columns_of(item).items()},
        "operation": item.operation,
        "name": item.name,
        "row": item.row,
        "job_id": item.job_id,
        "seed": item.seed if output.seed is None else output.seed,
        "finish_reason": output.finish_reason or item.finish_reason,
        "credits": item.credits_milli / MILLI,
        "sha256": output.sha256,
        "width": output.width,
        "height": output.height,
    }
    groups = {"inputs": dict(item.inputs), "metadata": dict(item.metadata)}
    return record | {name: group for name, group in groups.items() if group}


def columns_of(item: Item) -> dict[str, Any]:
    """A job's parameters; the fields of a `request` stand among them, so that `prompt` is one."""
    known = catalog().get(item.operation)
    return dict(item.params) if known is None else known.flat(item.params)


def failed_record(item: Item) -> dict[str, Any]:
    """The job in the nested form that a manifest reads, and why it is here."""
    asked: dict[str, Any] = {
        "operation": item.operation,
        "params": dict(item.params),
        "inputs": dict(item.inputs),
        "metadata": dict(item.metadata),
        "name": item.name,
    }
    happened = {"row": item.row, "job_id": item.job_id, "state": item.state, "error": item.error}
    return asked | happened
