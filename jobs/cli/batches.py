"""`darkroom batches`: list, show, cancel, retry, pause and resume."""

from typing import Annotated, Any

import typer
from sqlalchemy import Connection

from jobs import batches as store
from jobs import figures, tallies
from jobs.cli.home import Home, open_home, print_json
from jobs.cli.progress import states
from jobs.public import batch_public, credits_of
from jobs.queue import desk

commands = typer.Typer(
    help="List batches; show, cancel, retry, pause or resume one.",
    invoke_without_command=True,
    add_completion=False,
)

AsJson = Annotated[bool, typer.Option("--json")]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.add_typer(commands, name="batches")


@commands.callback()
def list_batches(context: typer.Context, as_json: AsJson = False) -> None:
    """List the newest batches."""
    if context.invoked_subcommand is not None:
        return
    with open_home() as home, home.database.reading() as db:
        found = store.list_batches(db, home.project_id)
        counted = [
            (
                batch,
                tallies.counts(db, batch_id=batch.id),
                figures.uncertain_attempts(db, batch.id),
            )
            for batch in found
        ]
    if as_json:
        print_json([batch_public(b, counts, uncertain=lost) for b, counts, lost in counted])
        return
    for batch, counts, uncertain in counted:
        print(line(batch, counts, uncertain))


@commands.command("show")
def show(batch: str, as_json: AsJson = False) -> None:
    """Show one batch."""
    with open_home() as home, home.database.reading() as db:
        tell(db, home, batch, as_json=as_json)


@commands.command("cancel")
def cancel(batch: str) -> None:
    """Cancel all of its jobs that were not sent yet."""
    with open_home() as home:
        now = home.database.now()
        with home.database.transaction() as db:
            found = store.get_batch(db, home.project_id, batch)
            canceled = desk.cancel_batch(db, home.project_id, found.id, now)
    print(f"{canceled} canceled; what was sent already finishes")


@commands.command("retry")
def retry(batch: str) -> None:
    """Open its failed jobs again."""
    with open_home() as home:
        now = home.database.now()
        with home.database.transaction() as db:
            found = store.get_batch(db, home.project_id, batch)
            retried = desk.retry_batch(db, home.project_id, found.id, now)
    print(f"{retried} queued again")


@commands.command("pause")
def pause(batch: str) -> None:
    """Start no more of its jobs."""
    set_pause(batch, is_paused=True)


@commands.command("resume")
def resume(batch: str) -> None:
    """Go on."""
    set_pause(batch, is_paused=False)


def set_pause(batch: str, *, is_paused: bool) -> None:
    """Pause or resume a batch."""
    with open_home() as home:
        now = home.database.now()
        with home.database.transaction() as db:
            found = store.get_batch(db, home.project_id, batch)
            store.pause(db, home.project_id, found.id, now if is_paused else None)
        with home.database.reading() as db:
            tell(db, home, batch, as_json=False)


def tell(db: Connection, home: Home, name: str, *, as_json: bool) -> None:
    """Show one batch."""
    batch = store.get_batch(db, home.project_id, name)
    counts = tallies.counts(db, batch_id=batch.id)
    uncertain = figures.uncertain_attempts(db, batch.id)
    if as_json:
        print_json(batch_public(batch, counts, uncertain=uncertain))
    else:
        print(line(batch, counts, uncertain))


def line(batch: Any, counts: tallies.Counts, uncertain: int) -> str:
    """A batch in one line."""
    parts = [
        batch.id,
        batch.name,
        f"{counts.finished}/{batch.size} done",
        f"{credits_of(counts.charged_milli)} credits",
        "paused" if batch.paused_at else "",
        f"{uncertain} paid calls lost their answers" if uncertain else "",
        states(counts),
    ]
    return "  ".join(part for part in parts if part)
