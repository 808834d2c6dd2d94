"""What `run` is asked for, as one value."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from jobs.cli.export import export_batch
from jobs.cli.home import Home
from jobs.dataset import Summary
from jobs.manifest import Expansion


class Format(StrEnum):
    """What a dataset looks like on disk."""

    FILES = "files"


class Policy(StrEnum):
    """What happens to a job when the answer to its paid call was lost."""

    RETRY = "retry"
    HOLD = "hold"
    FAIL = "fail"


Export = Callable[[Home, str, Path], Summary]
#: A new format is a member above and a line here.
EXPORTS: dict[Format, Export] = {Format.FILES: export_batch}


@dataclass(frozen=True, kw_only=True)
class Order:
    """What `run` was asked for."""

    manifest: Path
    expansion: Expansion
    name: str
    out: Path
    budget_milli: int | None
    on_uncertain: Policy | None
    #: Is told of the end.
    webhook_url: str | None
    export: Export
    as_json: bool
    is_agreed: bool
