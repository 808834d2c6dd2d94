"""How long and how much is measured."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line says."""

    #: Small sizes and short times: to see that a measure works, not to believe it.
    is_quick: bool
    #: A folder of this run's own, for homes and logs.
    folder: Path

    def pick(self, full: int, quick: int) -> int:
        """A size or a duration for this run."""
        return quick if self.is_quick else full
