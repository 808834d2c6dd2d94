"""What is exported: jobs and their outputs, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemOutput:
    """One file that a job made, and what is known of it."""

    index: int
    #: Where it lies in the bucket.
    key: str
    content_type: str
    bytes: int
    sha256: str
    width: int | None = None
    height: int | None = None
    seed: int | None = None
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One job of a batch as it is exported."""

    row: int
    job_id: str
    operation: str
    state: str
    name: str | None = None
    params: Mapping[str, Any]
    inputs: Mapping[str, str]
    seed: int | None = None
    finish_reason: str | None = None
    credits_milli: int = 0
    #: The public form of a `JobError`.
    error: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any]
    outputs: tuple[ItemOutput, ...] = ()
