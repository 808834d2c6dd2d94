"""How a run ended: what it made, what it cost, and what to do about the rest."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from rich.markup import escape
from sqlalchemy import Connection, Row

from jobs import figures, tallies
from jobs.cli.export import Shelf, remarks
from jobs.cli.progress import spent
from jobs.dataset import Summary
from jobs.figures import Losses
from jobs.public import credits_of
from jobs.states import JobState
from jobs.tallies import Counts


@dataclass(frozen=True)
class Ending:
    """What is known of a batch when its run is over."""

    batch: Row[Any]
    counts: Counts
    losses: Losses
    #: How many of its jobs are held for what.
    held_for: dict[str, int]
    summary: Summary

    @classmethod
    def of(cls, db: Connection, batch: Row[Any], summary: Summary) -> Self:
        """As the database has it now."""
        return cls(
            batch,
            tallies.counts(db, batch_id=batch.id),
            figures.losses(db, batch.id),
            figures.held_by_reason(db, batch.id),
            summary,
        )

    def lines(self, shelf: Shelf, *, is_interrupted: bool) -> Iterator[str]:
        """What to say of it, in the console's markup."""
        done, money = self.counts.of(JobState.SUCCEEDED), spent(self.counts, self.losses)
        yield (
            f"{done} of {self.counts.total} succeeded, {money}, "
            f"{self.summary.files} files in [bold]{escape(str(shelf.out.resolve()))}[/bold]"
        )
        for line in (*remarks(self.summary, shelf), *self._rest(shelf)):
            yield escape(line)
        if is_interrupted:
            yield "stopped; the same command goes on from here"

    def _rest(self, shelf: Shelf) -> Iterator[str]:
        """What did not go well, each with a command that helps."""
        name = shlex.quote(self.batch.name)
        if self.losses.calls:
            yield (
                f"{self.losses.calls} paid calls lost their answers: "
                f"`darkroom jobs --lost --batch {name}`"
            )
        if failed := self.counts.of(JobState.FAILED):
            yield (
                f"{failed} failed: see {shelf.out / 'failed.jsonl'}; "
                f"`darkroom batches retry {name}` tries them again"
            )
        if stopped := self.counts.of(JobState.SKIPPED, JobState.CANCELED):
            yield f"{stopped} were canceled or skipped: `darkroom jobs retry ID` opens one again"
        if held := self.counts.of(JobState.HELD):
            yield f"{held} are held: `darkroom jobs --state held --batch {name}`"
        if without_budget := self.held_for.get("budget"):
            yield (
                f"the budget of {credits_of(self.batch.budget_milli)} credits has no room for "
                f"{without_budget} of them: the same command with a higher --budget goes on, and "
                f"so does `darkroom batches set {name} --budget CREDITS` while workers run"
            )
