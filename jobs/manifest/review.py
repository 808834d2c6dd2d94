"""A look at the whole manifest before anything is submitted: how many, what price, what faults."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jobs.catalog import loader
from jobs.inputs import STRICT, Policy
from jobs.manifest.expand import rows
from jobs.manifest.expansion import Expansion
from jobs.manifest.values import JobRow, RowFault

#: More faulty rows than these are only counted: nobody reads on, and memory stays small.
FAULTS_KEPT = 100


@dataclass(frozen=True, kw_only=True)
class Review:
    """What a manifest amounts to. Only the sound jobs are counted and priced."""

    count: int
    by_operation: Mapping[str, int]
    #: The price if every job succeeds, in thousandths of a credit.
    credits_milli: int
    #: The first faulty rows; what concerns the options stands before them.
    faults_by_row: tuple[RowFault, ...]
    #: All faulty rows, kept or not.
    faulty: int

    @property
    def is_sound(self) -> bool:
        """Whether the manifest may be submitted."""
        return self.faulty == 0

    def lines(self) -> list[str]:
        """The faults for people, one on each line."""
        found = [line for row in self.faults_by_row for line in row.lines()]
        untold = self.faulty - len(self.faults_by_row)
        return [*found, f"and {untold:,} more rows with faults"] if untold else found


def check(path: Path, expansion: Expansion, policy: Policy = STRICT) -> Review:
    """Read the whole manifest and count what it holds; raises as `rows` does."""
    by_operation: Counter[str] = Counter()
    credits_milli = 0
    kept: list[RowFault] = []
    about_options: list[RowFault] = []
    faulty = 0
    for row in rows(path, expansion, policy):
        if isinstance(row, JobRow):
            by_operation[row.operation] += 1
            credits_milli += loader.operation(row.operation).price_of(row.params)
            continue
        faulty += 1
        if row.source_row is None:
            about_options.append(row)
        elif len(kept) < FAULTS_KEPT:
            kept.append(row)
    return Review(
        count=by_operation.total(),
        by_operation=dict(by_operation),
        credits_milli=credits_milli,
        faults_by_row=(*about_options, *kept),
        faulty=faulty,
    )
