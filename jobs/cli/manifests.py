"""`darkroom run` and `darkroom export`: a manifest in, a dataset out."""

import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from jobs.catalog.operation import MILLI
from jobs.cli.answer import AsJson, say
from jobs.cli.export import export_batch, remarks, shelf_of
from jobs.cli.home import open_home, prepare, settings_for
from jobs.cli.order import Order, Policy
from jobs.cli.payer import is_play
from jobs.cli.webhooks import check_webhook
from jobs.cli.work import run_batch
from jobs.dataset import Form
from jobs.errors import InvalidManifest
from jobs.estimates import expected_seconds
from jobs.inputs import policy_of
from jobs.manifest import Expansion, Review, check, fingerprint
from jobs.public import credits_of
from jobs.settings import Settings

#: What `run` exits with.
SOME_FAILED, USAGE = 1, 2

AsFormat = Annotated[Form, typer.Option("--format", help="Of the dataset.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="K=V", help="A parameter of every row; may be repeated."),
]
Matrix = Annotated[
    list[str] | None,
    typer.Option(metavar="K=A,B", help="Each row once for each value; may be repeated."),
]
ShardSize = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="The most that a tar or table takes; 500MB."),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("run")(run)
    app.command("export")(export)


def run(
    manifest: Annotated[Path, typer.Argument(help="CSV, JSONL or Parquet; a row for each job.")],
    operation: Annotated[str | None, typer.Option(help="For rows that name none.")] = None,
    set_: Sets = None,
    matrix: Matrix = None,
    repeat: Annotated[int, typer.Option(min=1, help="Each row so many times.")] = 1,
    name: Annotated[str | None, typer.Option(help="Of the batch; the manifest's own.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the dataset.")] = None,
    format_: AsFormat = Form.FILES,
    shard_size: ShardSize = None,
    budget: Annotated[
        str | None, typer.Option(metavar="CREDITS", help="The most that it may cost.")
    ] = None,
    on_uncertain: Annotated[Policy | None, typer.Option(help="For lost answers.")] = None,
    webhook: Annotated[str | None, typer.Option(help="An address that is told of its end.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count and price, send nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before spending.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a picture, video or model for every row; the same again goes on where it stopped."""
    settings = settings_for("run")
    check_webhook(settings, webhook)
    expansion = read_expansion(operation, set_ or [], matrix or [], repeat)
    review = check(manifest, expansion, policy_of(settings))
    if not review.is_sound:
        raise InvalidManifest(review.lines())
    order = Order(
        manifest=manifest,
        expansion=expansion,
        name=name or manifest.stem,
        shelf=shelf_of(out or Path("pictures") / (name or manifest.stem), format_, shard_size),
        budget_milli=credits_in(budget),
        on_uncertain=on_uncertain,
        webhook_url=webhook,
        as_json=as_json,
        is_agreed=yes,
    )
    if dry_run:
        tell_dry(settings, order, review)
        return
    console = Console(stderr=as_json)
    agree(settings, order, review, console)
    outcome = run_batch(settings, order, review, console)
    # The lines for people are on the console already.
    say(outcome.report, as_json=as_json)
    raise typer.Exit(0 if outcome.is_all_there else SOME_FAILED)


def export(
    batch: Annotated[str, typer.Argument(help="Its name or id.")],
    out: Annotated[Path, typer.Option(help="Folder of the dataset.")],
    format_: AsFormat = Form.FILES,
    shard_size: ShardSize = None,
    as_json: AsJson = False,
) -> None:
    """Write a batch's outputs as a dataset; any time, also while it runs."""
    shelf = shelf_of(out, format_, shard_size)
    with open_home() as home:
        summary = export_batch(home, batch, shelf)
    told = f"{summary.files} files of {summary.jobs} jobs in {out}"
    say(vars(summary), told, as_json=as_json)
    for remark in remarks(summary, shelf):
        print(remark, file=sys.stderr)
    if summary.missing:
        raise typer.Exit(SOME_FAILED)


def read_expansion(
    operation: str | None, set_: list[str], matrix: list[str], repeat: int
) -> Expansion:
    """What the options make of each row."""
    axes = (pair(text, "--matrix") for text in matrix)
    return Expansion(
        operation=operation,
        set=dict(pair(text, "--set") for text in set_),
        matrix={name: tuple(values.split(",")) for name, values in axes},
        repeat=repeat,
    )


def pair(text: str, option: str) -> tuple[str, str]:
    """Split `k=v`."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"write {text!r} as NAME=VALUE", param_hint=option)
    return name, value


def credits_in(text: str | None) -> int | None:
    """A budget in thousandths."""
    if text is None:
        return None
    try:
        milli = Decimal(text) * MILLI
        is_budget = 0 <= milli < 10**12
    except InvalidOperation:
        is_budget = False
    if not is_budget:
        raise typer.BadParameter(
            "is a number of credits, such as 120 or 6.5", param_hint="--budget"
        )
    return int(milli)


def plan(settings: Settings, order: Order, review: Review) -> dict[str, Any]:
    """What a run would do."""
    seconds = expected_seconds(settings, review.by_operation)
    return {
        "manifest": str(order.manifest),
        "batch": order.name,
        "rows": review.count,
        "faults": 0,
        "by_operation": dict(review.by_operation),
        "credits": credits_of(review.credits_milli),
        "budget": credits_of(order.budget_milli),
        "expected_seconds": round(seconds),
        "fingerprint": fingerprint(order.manifest, order.expansion),
    }


def tell_dry(settings: Settings, order: Order, review: Review) -> None:
    """Show the plan; nothing is sent."""
    told = plan(settings, order, review)
    say(
        told,
        f"{order.manifest}: {review.count:,} jobs, {told['credits']} credits",
        *(f"  {count:7,}  {name}" for name, count in sorted(review.by_operation.items())),
        f"about {told['expected_seconds']} s at {settings.darkroom_rate}; nothing was sent",
        as_json=order.as_json,
    )


def agree(settings: Settings, order: Order, review: Review, console: Console) -> None:
    """Ask before real credits are spent."""
    if order.is_agreed:
        return
    database = prepare(settings)
    is_free = is_play(settings, database)
    database.close()
    if is_free:
        return
    price = credits_of(review.credits_milli)
    if not sys.stdin.isatty():
        raise InvalidManifest(
            [f"this may spend {price} credits; say --yes, or --dry-run to see what it would do"]
        )
    console.print(f"{review.count:,} jobs may spend [bold]{price}[/bold] credits.")
    if not typer.confirm("Go on?"):
        raise typer.Exit(USAGE)
