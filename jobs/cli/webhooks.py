"""`darkroom webhooks`: who is told of jobs, and what signs it."""

from typing import Annotated, Any

import typer

from jobs.cli.answer import AsJson, say, say_list
from jobs.cli.deliveries import add_to as add_deliveries
from jobs.cli.group import new_group
from jobs.cli.home import Home, open_home
from jobs.guard import guard_of
from jobs.public import when
from jobs.settings import Settings
from jobs.webhooks import endpoints, seals
from jobs.webhooks.secrets import open_signer
from jobs.webhooks.shown import webhook_public

commands = new_group(
    "Tell others of jobs: create, list, show, enable, disable, rotate, test, log, replay."
)

WebhookId = Annotated[str, typer.Argument(metavar="WEBHOOK", help="Its id.")]
KEEP = "Keep it: it signs all messages."


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    add_deliveries(commands)
    app.add_typer(commands, name="webhooks")


def check_webhook(settings: Settings, url: str | None) -> None:
    """Refuse an address that would not be called; raises AddressRefused."""
    if url is not None:
        guard_of(settings).check(url)


@commands.command("list")
def list_webhooks(
    named: Annotated[bool, typer.Option("--named", help="Those that jobs name instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the webhooks that hear of all jobs."""
    with open_home() as home, home.database.reading() as db:
        found = endpoints.list_endpoints(
            db, home.project_id, is_named=named, limit=endpoints.MOST_ENDPOINTS
        )
    shown = [webhook_public(row) for row in found]
    say_list(shown, map(line, shown), as_json=as_json)


@commands.command("create")
def create(
    url: Annotated[str, typer.Argument(help="A public https:// address.")],
    events: Annotated[
        str, typer.Option(help="Of these only, comma separated: job.failed,batch.finished.")
    ] = "",
    description: Annotated[str, typer.Option()] = "",
    as_json: AsJson = False,
) -> None:
    """Tell an address of all jobs, and show the secret that signs the messages, this once."""
    wanted = read_types(events)
    with open_home() as home:
        check_webhook(home.settings, url)
        now, signer = home.database.now(), open_signer(home.settings)
        with home.database.transaction() as db:
            webhook_id = endpoints.create(
                db,
                home.project_id,
                url,
                now,
                mark=signer.mark,
                events=wanted,
                description=description,
            )
        tell_secret(home, webhook_id, as_json=as_json)


@commands.command("show")
def show(webhook: WebhookId, as_json: AsJson = False) -> None:
    """Show one webhook."""
    with open_home() as home:
        tell(home, webhook, as_json=as_json)


@commands.command("enable")
def enable(webhook: WebhookId, as_json: AsJson = False) -> None:
    """Tell it again, of what happens from now on."""
    with open_home() as home:
        with home.database.transaction() as db:
            endpoints.get(db, home.project_id, webhook)
            endpoints.enable(db, webhook)
        tell(home, webhook, as_json=as_json)


@commands.command("disable")
def disable(webhook: WebhookId, as_json: AsJson = False) -> None:
    """Tell it nothing more; what is under way is given up."""
    with open_home() as home:
        now = home.database.now()
        with home.database.transaction() as db:
            endpoints.get(db, home.project_id, webhook)
            endpoints.disable(db, webhook, endpoints.BY_HAND, now)
        tell(home, webhook, as_json=as_json)


@commands.command("delete")
def delete(webhook: WebhookId, as_json: AsJson = False) -> None:
    """Forget it and its log."""
    with open_home() as home, home.database.transaction() as db:
        endpoints.get(db, home.project_id, webhook)
        endpoints.remove(db, webhook)
    say({"id": webhook, "deleted": True}, "deleted", as_json=as_json)


@commands.command("rotate")
def rotate(webhook: WebhookId, as_json: AsJson = False) -> None:
    """Make a new secret; for a day messages carry the signatures of both."""
    with open_home() as home:
        now, signer = home.database.now(), open_signer(home.settings)
        with home.database.transaction() as db:
            seals.rotate(db, endpoints.get(db, home.project_id, webhook), signer, now)
        tell_secret(home, webhook, as_json=as_json)


@commands.command("secret")
def secret(
    new: Annotated[bool, typer.Option("--rotate", help="Make a new one first.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what signs the messages to each --webhook of a job or a run."""
    with open_home() as home:
        now, signer = home.database.now(), open_signer(home.settings)
        with home.database.transaction() as db:
            if new:
                seal = seals.rotate_project(db, home.project_id, signer, now)
            else:
                seal = seals.show_project(db, home.project_id, signer)
    shown = signer.secret(seal.owner, seal.generation)
    say({"secret": shown, "rotated_at": when(seal.rotated_at)}, shown, as_json=as_json)


def read_types(text: str) -> list[str]:
    """The types of `job.failed,batch.finished`."""
    wanted = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := set(wanted) - set(endpoints.TYPES):
        raise typer.BadParameter(
            f"{', '.join(sorted(unknown))}: there are {', '.join(endpoints.TYPES)}",
            param_hint="--events",
        )
    return wanted


def tell(home: Home, webhook_id: str, *, as_json: bool) -> None:
    """Show one webhook."""
    with home.database.reading() as db:
        shown = webhook_public(endpoints.get(db, home.project_id, webhook_id))
    say(shown, line(shown), as_json=as_json)


def tell_secret(home: Home, webhook_id: str, *, as_json: bool) -> None:
    """Show one webhook and its secret."""
    with home.database.reading() as db:
        found = endpoints.get(db, home.project_id, webhook_id)
    told = open_signer(home.settings).secret(webhook_id, found.generation)
    shown = webhook_public(found)
    say(shown | {"secret": told}, line(shown), told, KEEP, as_json=as_json)


def line(webhook: dict[str, Any]) -> str:
    """A webhook in one line."""
    heard = "named by jobs" if webhook["named_only"] else ",".join(webhook["events"]) or "all"
    state = "enabled" if webhook["enabled"] else f"disabled: {webhook['disabled_reason']}"
    if webhook["enabled"] and webhook["failing_since"]:
        state = f"failing since {webhook['failing_since']}"
    parts = [webhook["id"], webhook["url"], heard, state, webhook["description"]]
    return "  ".join(part for part in parts if part)
