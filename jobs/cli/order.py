"""What `run` is asked for, as one value."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from jobs.cli.export import Shelf
from jobs.manifest import Expansion


class Policy(StrEnum):
    """What happens to a job when the answer to its paid call was lost."""

    RETRY = "retry"
    HOLD = "hold"
    FAIL = "fail"


@dataclass(frozen=True, kw_only=True)
class Order:
    """What `run` was asked for."""

    manifest: Path
    expansion: Expansion
    name: str
    shelf: Shelf
    budget_milli: int | None
    on_uncertain: Policy | None
    #: Is told of the end.
    webhook_url: str | None
    as_json: bool
    is_agreed: bool
