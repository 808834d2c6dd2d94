"""One measured figure, and what it must reach."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A row of the table; without a `target` it is only told."""

    what: str
    value: float
    unit: str
    target: float | None = None
    sense: Literal["at least", "at most"] = "at most"

    @property
    def holds(self) -> bool | None:
        """Whether it reaches its target; None without one."""
        if self.target is None:
            return None
        return self.value >= self.target if self.sense == "at least" else self.value <= self.target
