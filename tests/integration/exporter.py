"""A program that exports a dataset and stands still before one of its outputs, to be killed.

Arguments: the format, the folder, how many rows, and the row at which it stops.
"""

import hashlib
import io
import sys
import threading
from pathlib import Path
from typing import BinaryIO

from jobs.dataset import Form, Item, ItemOutput, Summary, export_dataset

#: Room for two samples.
SHARD_BYTES = {Form.WEBDATASET: 7_500, Form.PARQUET: 3_000}


def content_of(row: int) -> bytes:
    """What the bucket holds for a row."""
    return f"bytes of {row:03}".encode() * 100


def items(rows: int) -> list[Item]:
    """So many jobs that have made a picture each."""
    return [
        Item(
            row=row,
            job_id=f"job{row}",
            operation="generate/core",
            state="succeeded",
            params={"prompt": f"fox {row}"},
            inputs={},
            metadata={},
            outputs=(output_of(row),),
        )
        for row in range(rows)
    ]


def output_of(row: int) -> ItemOutput:
    content = content_of(row)
    return ItemOutput(
        index=0,
        key=str(row),
        content_type="image/png",
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def export(form: Form, out: Path, rows: int, stop_at: int | None = None) -> Summary:
    """Export; at the row `stop_at` wait for the end."""

    def open_output(key: str) -> BinaryIO:
        if key == str(stop_at):
            threading.Event().wait()
        return io.BytesIO(content_of(int(key)))

    return export_dataset(
        form, items(rows), open_output, out, {"batch_id": "b"}, shard_bytes=SHARD_BYTES[form]
    )


if __name__ == "__main__":
    export(Form(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
