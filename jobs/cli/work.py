"""Seeing a batch through: load it, watch it, export it."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from jobs import assets, batches
from jobs.cli.embed import Running, services
from jobs.cli.ending import Ending
from jobs.cli.export import export_batch
from jobs.cli.home import Home, prepare
from jobs.cli.order import Order
from jobs.cli.progress import watching
from jobs.cli.sight import Sight, goes_on, left_behind, look
from jobs.dataset.folder import claim
from jobs.errors import InvalidManifest
from jobs.forecast import Forecaster
from jobs.inputs import keep_inputs, policy_of
from jobs.limiter.permits import connect
from jobs.manifest import JobRow, Review, fingerprint, rows
from jobs.nudge import nudge
from jobs.presence import is_anybody_there
from jobs.public import batch_public, credits_of
from jobs.queue import desk
from jobs.queue.intake import NewJob
from jobs.settings import Settings
from jobs.states import JobState
from jobs.storage import open_storage
from jobs.tallies import Counts

#: Between two looks at the counts.
LOOK_SECONDS = 0.25
#: A worker that is not there after so long is missed.
START_SECONDS = 10.0


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    report: dict[str, Any]
    #: Every row succeeded, and every file is in the dataset.
    is_all_there: bool


class Interrupted(Exception):
    """Ctrl-C, or SIGTERM."""


def run_batch(settings: Settings, order: Order, review: Review, console: Console) -> Outcome:
    """Submit the rows, show how they fare, and write the dataset."""
    database = prepare(settings)
    with database.reading() as db:
        # Before anybody looks after them.
        left = left_behind(db, order.name)
    with services(settings, database, lambda line: console.print(f"[dim]{line}[/dim]")) as running:
        home = Home(running.settings, database, open_storage(running.settings))
        introduce(running, order, review, console)
        if left:
            console.print(
                f"{left} calls were under way when their worker died: what became of them is found "
                "out first, which may take half a minute",
                highlight=False,
                soft_wrap=True,
            )
        batch_id = load(home, order, review)
        with interruptible():
            is_interrupted = not watch(home, batch_id, review.count, console)
    summary = export_batch(home, batch_id, order.shelf)
    with database.reading() as db:
        ending = Ending.of(db, batches.get_batch(db, home.project_id, batch_id), summary)
    for line in ending.lines(order.shelf, is_interrupted=is_interrupted):
        console.print(line, highlight=False, soft_wrap=True)
    report = batch_public(ending.batch, ending.counts, losses=ending.losses) | {
        "out": str(order.shelf.out.resolve()),
        "files": summary.files,
        "left_out": dict(summary.left_out),
        "interrupted": is_interrupted,
    }
    database.close()
    is_all_there = ending.counts.of(JobState.SUCCEEDED) == review.count and not summary.missing
    return Outcome(report, is_all_there)


def introduce(running: Running, order: Order, review: Review, console: Console) -> None:
    """Say what is about to happen, and loudly that the API is not the real one."""
    if running.is_sandbox:
        console.print(
            "[bold black on yellow] SANDBOX [/] STABILITY_API_KEY is not set: a stand-in for the "
            "API draws patterns, and nothing is paid.",
            soft_wrap=True,
        )
    console.print(
        f"{order.name}: {review.count:,} jobs, up to {credits_of(review.credits_milli)} credits, "
        f"{running.settings.darkroom_rate} → {order.shelf.out}",
        highlight=False,
        soft_wrap=True,
    )


def load(home: Home, order: Order, review: Review) -> str:
    """Let the batch and its rows in, or find them; returns the batch's id."""
    database = home.database
    wanted = batches.NewBatch(
        name=order.name,
        fingerprint=fingerprint(order.manifest, order.expansion),
        size=review.count,
        on_uncertain=policy(home, order),
        about={
            "manifest": str(order.manifest),
            "operation": order.expansion.operation,
            "set": dict(order.expansion.set),
            "matrix": {name: list(values) for name, values in order.expansion.matrix.items()},
            "repeat": order.expansion.repeat,
            "credits_milli": review.credits_milli,
        },
        budget_milli=order.budget_milli,
        webhook_url=order.webhook_url,
    )
    now = database.now()
    with database.transaction() as db:
        batch_id, is_new = batches.open_batch(db, wanted, now, project_id=home.project_id)
        if not is_new and order.budget_milli is not None:
            budget = order.budget_milli
            batches.change(db, home.project_id, batch_id, now, budget_milli=budget)
        is_loaded = batches.get_batch(db, home.project_id, batch_id).loaded_at is not None
        # A budget that was raised counts at once, or the batch would look settled as it is.
        desk.release_budgeted(db, now)
    # A folder that cannot take the dataset is found out before anything is paid.
    claim(order.shelf.out, {"batch_id": batch_id, "batch": order.name}, order.shelf.form)
    assert home.settings.redis_url is not None
    redis = connect(home.settings.redis_url)
    if not is_loaded:
        loading = batches.load_rows(
            database, batch_id, new_jobs(home, order), project_id=home.project_id
        )
        for _ in loading:
            nudge(redis)
    nudge(redis)
    return batch_id


def policy(home: Home, order: Order) -> Any:
    """What happens to uncertain calls: the option's word, or the setting's."""
    return order.on_uncertain or home.settings.darkroom_on_uncertain


def new_jobs(home: Home, order: Order) -> Iterator[NewJob]:
    """The manifest's rows as jobs, their files in the bucket; raises InvalidManifest."""
    uploads = assets.Uploads(
        lambda path: assets.add_asset(home.database, home.storage, home.project_id, path)
    )
    allowed = policy_of(home.settings)
    for row in rows(order.manifest, order.expansion, allowed):
        if not isinstance(row, JobRow):
            # It was sound when the manifest was checked: a picture went away meanwhile.
            raise InvalidManifest(row.lines())
        references = {name: uploads.reference(value) for name, value in row.inputs.items()}
        yield NewJob(
            operation=row.operation,
            params=row.params,
            inputs=keep_inputs(home.database, home.storage, home.project_id, references, allowed),
            labels=row.metadata,
            row=row.row,
            name=row.name,
            priority=row.priority,
            on_uncertain=policy(home, order),
        )


def watch(home: Home, batch_id: str, total: int, console: Console) -> bool:
    """Show the batch until nothing of it can go on; False if it was interrupted."""
    sight = Sight(Counts({}, 0))
    forecaster = Forecaster(home.settings)
    assert home.settings.redis_url is not None
    broker = connect(home.settings.redis_url)
    begun_at = time.monotonic()
    with watching(console, total) as view:
        try:
            while not sight.is_settled(total) or goes_on(home, batch_id, sight):
                sight = look(home, batch_id, sight, forecaster)
                if time.monotonic() - begun_at > START_SECONDS and not is_anybody_there(broker):
                    sight = sight.with_note(f"no worker answers, see {worker_log(home)}")
                view.show(sight.counts, sight.note, sight.left)
                time.sleep(LOOK_SECONDS)
        except Interrupted:
            return False
    return True


def worker_log(home: Home) -> Path:
    """Where a worker that this command started writes its log."""
    return home.settings.home / "log" / "worker.log"


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn the first Ctrl-C or SIGTERM into Interrupted; a second one ends at once."""

    def interrupt(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise Interrupted

    before = {n: signal.signal(n, interrupt) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
