"""What a person sees while a batch runs: a bar on a terminal, now and then a line elsewhere."""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from jobs.figures import Losses
from jobs.public import credits_of
from jobs.states import JobState
from jobs.tallies import Counts

#: The rate shown is that of the last so many seconds.
RATE_SECONDS = 30.0
#: Between two lines where there is no terminal.
LINE_SECONDS = 5.0

#: In the order in which a job passes them.
SHOWN = {
    "waiting": (JobState.WAITING,),
    "queued": (JobState.QUEUED,),
    "in flight": (JobState.SUBMITTING, JobState.POLLING, JobState.STORING),
    "held": (JobState.HELD,),
    "failed": (JobState.FAILED,),
    "skipped": (JobState.SKIPPED,),
    "canceled": (JobState.CANCELED,),
    "filtered": (JobState.FILTERED,),
}


#: What keeps jobs from being started, and how it goes on.
BRAKES = {
    "all": "everything is paused (`darkroom resume`)",
    "project": "the project is paused (`darkroom resume --project P`)",
    "batch": "paused (`darkroom resume --batch B`)",
    "credentials": "no credential may pay (`darkroom credentials`)",
}


class Pace:
    """How fast jobs end."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def note(self, finished: int, now: float) -> None:
        """Remember how many have ended by now."""
        self._seen.append((now, finished))
        while now - self._seen[0][0] > RATE_SECONDS and len(self._seen) > 2:
            self._seen.popleft()

    @property
    def per_second(self) -> float:
        """Jobs a second, lately."""
        if len(self._seen) < 2:
            return 0.0
        (begun, first), (ended, last) = self._seen[0], self._seen[-1]
        return (last - first) / (ended - begun) if ended > begun else 0.0


class View(Protocol):
    """Shows counts."""

    def show(self, counts: Counts, note: str = "", left: timedelta | None = None) -> None:
        """Show how far it is; `left` is how long it will take, None while nobody knows."""
        ...


class Bar:
    """A bar and a line of numbers, drawn over and over."""

    def __init__(self, live: Live, total: int) -> None:
        self._live = live
        self._total = total
        self._pace = Pace()

    def show(self, counts: Counts, note: str = "", left: timedelta | None = None) -> None:
        """Draw it again."""
        self._pace.note(counts.finished, time.monotonic())
        share = counts.finished / self._total if self._total else 1.0
        numbers = Table.grid(padding=(0, 2))
        numbers.add_row(
            ProgressBar(total=max(self._total, 1), completed=counts.finished, width=32),
            Text(f"{counts.finished}/{self._total}  {share:4.0%}", style="bold"),
            summary(counts, self._pace, left),
        )
        rows = Table.grid()
        rows.add_row(numbers)
        rows.add_row(Text(states(counts) + (f"  ·  {note}" if note else ""), style="dim"))
        self._live.update(rows, refresh=True)


class Lines:
    """A line every few seconds, for logs."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._pace = Pace()
        self._said_at = 0.0

    def show(self, counts: Counts, note: str = "", left: timedelta | None = None) -> None:
        """Say it, unless that was only just done."""
        now = time.monotonic()
        self._pace.note(counts.finished, now)
        if now - self._said_at < LINE_SECONDS and counts.finished < self._total:
            return
        self._said_at = now
        figures = summary(counts, self._pace, left)
        line = f"{counts.finished}/{self._total}  {figures}  {states(counts)}"
        self._console.print(f"{line}  {note}".rstrip(), highlight=False, soft_wrap=True)


def summary(counts: Counts, pace: Pace, left: timedelta | None) -> str:
    """Rate, credits and time left."""
    open_jobs = counts.total - counts.finished - counts.of(JobState.HELD)
    when = f"   {remaining(counts, left)}" if open_jobs else ""
    return f"{pace.per_second:.1f} jobs/s   {credits_of(counts.charged_milli)} credits{when}"


def remaining(counts: Counts, left: timedelta | None) -> str:
    """How long it will take, but for what is held."""
    rest = " but for what is held" if counts.of(JobState.HELD) else ""
    return f"{left or '…'} left{rest}"


def spent(counts: Counts, losses: Losses) -> str:
    """What it cost, and what lost answers may have cost besides."""
    known = f"{credits_of(counts.charged_milli)} credits"
    if not losses.at_most_milli:
        return known
    more = credits_of(losses.at_most_milli)
    return f"{known} and up to {more} more for answers that were lost"


def standing(paused_by: Sequence[str]) -> str:
    """Why nothing new is started, and how it goes on."""
    return "; ".join(BRAKES[name] for name in paused_by)


def states(counts: Counts) -> str:
    """How many jobs are where, what is nowhere left out."""
    shown = ((name, counts.of(*group)) for name, group in SHOWN.items())
    return " · ".join(f"{n} {name}" for name, n in shown if n)


@contextmanager
def watching(console: Console, total: int) -> Iterator[View]:
    """A view that fits where the output goes."""
    if not console.is_terminal:
        yield Lines(console, total)
        return
    with Live(console=console, refresh_per_second=4, transient=False) as live:
        yield Bar(live, total)
