"""Jobs as an export sees them, and a bucket in memory."""

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

from jobs.dataset import Item, ItemOutput

ABOUT = {"batch_id": "b1", "name": "foxes"}


class Bucket:
    """A bucket in memory that counts what is opened."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.opened: list[str] = []
        self._lock = Lock()

    def open(self, key: str) -> BinaryIO:
        with self._lock:
            self.opened.append(key)
        if key not in self.objects:
            raise FileNotFoundError(key)
        return io.BytesIO(self.objects[key])

    def output(self, key: str, *, index: int = 0, content_type: str = "image/png") -> ItemOutput:
        """Put an object and describe it."""
        content = f"bytes of {key}".encode() * 100
        self.objects[key] = content
        return ItemOutput(
            index=index,
            key=key,
            content_type=content_type,
            bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            width=64,
            height=48,
            seed=40 + index,
            finish_reason="SUCCESS",
        )


class Changing:
    """Items that are others when they are read again."""

    def __init__(self, *readings: list[Item]) -> None:
        self._readings = list(readings)

    def __iter__(self) -> Iterator[Item]:
        reading = self._readings[0]
        if len(self._readings) > 1:
            del self._readings[0]
        return iter(reading)


def item(row: int, *outputs: ItemOutput, state: str = "succeeded") -> Item:
    return Item(
        row=row,
        job_id=f"job{row}",
        operation="generate/core",
        state=state,
        params={"prompt": f"fox {row}", "seed": 0},
        inputs={},
        credits_milli=3000 if outputs else 0,
        metadata={"set": "train"},
        outputs=outputs,
    )


def failed(row: int, code: str = "bad_request") -> Item:
    error = {"code": code, "message": f"{code} happened", "class": "user"}
    return replace(item(row, state="failed"), error=error)


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def files_in(out: Path) -> set[str]:
    return {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
