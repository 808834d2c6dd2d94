"""`darkroom batches`: list, show, cancel, retry, pause, resume, set, and move to the front."""

import sys
import time
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from sqlalchemy import Connection

from jobs import batches as store
from jobs import figures, tallies
from jobs.cli.answer import AsJson, say, say_list
from jobs.cli.group import new_group
from jobs.cli.home import Home, open_home
from jobs.cli.manifests import credits_in
from jobs.cli.payer import is_worked
from jobs.cli.progress import remaining, spent, standing, states
from jobs.forecast import BatchForecast, Forecaster
from jobs.manifest.draft import MAX_PRIORITY
from jobs.public import batch_public
from jobs.queue import bulk
from jobs.queue.bulk import Bulk
from jobs.states import JobState

commands = new_group("List batches; show, cancel, retry, pause, resume, front or set one.")

#: Between two lines that say how far a verb for all jobs is.
SAY_SECONDS = 2.0


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.add_typer(commands, name="batches")


@commands.command("list")
def list_batches(as_json: AsJson = False) -> None:
    """List the newest batches."""
    with open_home() as home, home.database.reading() as db:
        forecaster = Forecaster(home.settings)
        found = [
            see(home, db, batch, forecaster) for batch in store.list_batches(db, home.project_id)
        ]
    say_list(
        [sight.public() for sight in found], (sight.line() for sight in found), as_json=as_json
    )


@commands.command("show")
def show(batch: str, as_json: AsJson = False) -> None:
    """Show one batch."""
    with open_home() as home, home.database.reading() as db:
        tell(db, home, batch, as_json=as_json)


@commands.command("cancel")
def cancel(batch: str, as_json: AsJson = False) -> None:
    """Cancel all of its jobs that were not sent yet."""
    changed = do_to_all(batch, Bulk.CANCEL)
    told = f"{changed} canceled; what was sent already finishes"
    say({"changed": changed}, told, as_json=as_json)


@commands.command("retry")
def retry(batch: str, as_json: AsJson = False) -> None:
    """Open its failed jobs again, as many as the budget has room for."""
    changed = do_to_all(batch, Bulk.RETRY)
    say({"changed": changed}, f"{changed} queued again", as_json=as_json)


def do_to_all(name: str, verb: Bulk) -> int:
    """Carry a verb out for all jobs of a batch; returns how many were changed."""
    with open_home() as home:
        now = home.database.now()
        with home.database.transaction() as db:
            batch = store.get_batch(db, home.project_id, name)
            bulk.begin(db, batch.id, verb, now)
        return carry_out(home, batch.id)


def carry_out(home: Home, batch_id: str) -> int:
    """Do what was begun, and say now and then how far it is."""
    changed, said_at = 0, time.monotonic()
    for so_far in store.carry_out(home.database, batch_id):
        changed = so_far
        if time.monotonic() - said_at > SAY_SECONDS:
            said_at = time.monotonic()
            print(f"{changed:,} so far; if this is cut off, the beat goes on", file=sys.stderr)
    return changed


@commands.command("front")
def front(batch: str, as_json: AsJson = False) -> None:
    """Start its jobs before all others of the project with their priority."""
    with open_home() as home:
        now = home.database.now()
        with home.database.transaction() as db:
            store.front(db, home.project_id, store.get_batch(db, home.project_id, batch).id, now)
        with home.database.reading() as db:
            tell(db, home, batch, as_json=as_json)


@commands.command("set")
def set_terms(
    batch: str,
    priority: Annotated[
        int | None, typer.Option(min=-MAX_PRIORITY, max=MAX_PRIORITY, help="Higher is sooner.")
    ] = None,
    weight: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Jobs started in its turn.")
    ] = None,
    max_in_flight: Annotated[
        int | None,
        typer.Option(min=0, max=MAX_PRIORITY, help="Jobs under way at once; 0 for any number."),
    ] = None,
    budget: Annotated[str | None, typer.Option(metavar="CREDITS")] = None,
    as_json: AsJson = False,
) -> None:
    """Change its priority, weight, cap or budget, also while it runs."""
    named = {
        "priority": priority,
        "weight": weight,
        "max_in_flight": max_in_flight,
        "budget_milli": credits_in(budget),
    }
    changes: dict[str, Any] = {k: value for k, value in named.items() if value is not None}
    if not changes:
        raise typer.BadParameter("say what: --priority, --weight, --max-in-flight or --budget")
    if max_in_flight == 0:
        changes["max_in_flight"] = None
    with open_home() as home:
        now = home.database.now()
        with home.database.transaction() as db:
            found = store.get_batch(db, home.project_id, batch)
            store.change(db, home.project_id, found.id, now, **changes)
        carry_out(home, found.id)
        with home.database.reading() as db:
            tell(db, home, batch, as_json=as_json)


@commands.command("pause")
def pause(batch: str, as_json: AsJson = False) -> None:
    """Start no more of its jobs."""
    set_pause(batch, is_paused=True, as_json=as_json)


@commands.command("resume")
def resume(batch: str, as_json: AsJson = False) -> None:
    """Go on."""
    set_pause(batch, is_paused=False, as_json=as_json)


def set_pause(batch: str, *, is_paused: bool, as_json: bool) -> None:
    """Pause or resume a batch."""
    with open_home() as home:
        now = home.database.now()
        with home.database.transaction() as db:
            found = store.get_batch(db, home.project_id, batch)
            store.pause(db, home.project_id, found.id, now if is_paused else None)
        with home.database.reading() as db:
            tell(db, home, batch, as_json=as_json)


def tell(db: Connection, home: Home, name: str, *, as_json: bool) -> None:
    """Show one batch."""
    batch = store.get_batch(db, home.project_id, name)
    sight = see(home, db, batch, Forecaster(home.settings))
    say(sight.public(), sight.line(), as_json=as_json)


@dataclass(frozen=True)
class Sight:
    """What is known of a batch at one moment."""

    batch: Any
    counts: tallies.Counts
    losses: figures.Losses
    forecast: BatchForecast
    #: Something may go on, and nobody is there to do it.
    is_idle: bool

    def public(self) -> dict[str, Any]:
        """For programs."""
        return batch_public(self.batch, self.counts, losses=self.losses, forecast=self.forecast)

    def line(self) -> str:
        """In one line."""
        batch, counts = self.batch, self.counts
        parts = [
            batch.id,
            batch.name,
            f"{counts.finished}/{batch.size} done",
            spent(counts, self.losses),
            self._course(),
            f"{self.losses.calls} paid calls lost their answers" if self.losses.calls else "",
            states(counts),
        ]
        return "  ".join(part for part in parts if part)

    def _course(self) -> str:
        if self.batch.bulk_verb is not None:
            return f"{self.batch.bulk_verb} under way"
        left = self.forecast.left
        if self.forecast.paused_by and self.counts.of(JobState.QUEUED, JobState.WAITING):
            return standing(self.forecast.paused_by)
        if self.is_idle:
            return "no worker runs (`darkroom up`)"
        if left:
            pace = f"{self.forecast.rate:.1f} jobs/s, " if self.forecast.rate else ""
            return f"{pace}{remaining(self.counts, left)}"
        return ""


def see(home: Home, db: Connection, batch: Any, forecaster: Forecaster) -> Sight:
    """Look at a batch."""
    counts = tallies.counts(db, batch_id=batch.id)
    forecast = forecaster.batch(db, batch, counts, home.database.now())
    has_more = counts.finished + counts.of(JobState.HELD) < counts.total
    is_idle = has_more and not is_worked(home.settings)
    return Sight(batch, counts, figures.losses(db, batch.id), forecast, is_idle)
