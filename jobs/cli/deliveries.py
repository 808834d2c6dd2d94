"""What `darkroom webhooks` knows of messages: test, log, replay."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from jobs.cli.answer import AsJson, say
from jobs.cli.home import Home, open_home
from jobs.webhooks import endpoints, journal
from jobs.webhooks.shown import delivery_public

WebhookId = Annotated[str, typer.Argument(metavar="WEBHOOK", help="Its id.")]


def add_to(commands: typer.Typer) -> None:
    """Add the commands."""
    commands.command("test")(send_test)
    commands.command("log")(log)
    commands.command("replay")(replay)
    commands.command("replay-failed")(replay_failed)


def send_test(webhook: WebhookId, as_json: AsJson = False) -> None:
    """Send a message of the type `test`; the log tells what became of it."""
    with open_home() as home:
        now = home.database.now()
        with home.database.transaction() as db:
            found = endpoints.get(db, home.project_id, webhook)
            delivery_id = journal.tell_test(db, found, now)
        tell_delivery(home, delivery_id, as_json=as_json)


def log(
    webhook: WebhookId,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    as_json: AsJson = False,
) -> None:
    """Show what was told in the last 30 days, the newest first."""
    with open_home() as home, home.database.reading() as db:
        endpoints.get(db, home.project_id, webhook)
        found = [delivery_public(row) for row in journal.log_of(db, webhook, limit=limit)]
    say(found, *map(delivery_line, found), as_json=as_json)


def replay(
    delivery: Annotated[str, typer.Argument(metavar="DELIVERY", help="Its id, from the log.")],
    as_json: AsJson = False,
) -> None:
    """Tell it again, under the same webhook-id."""
    with open_home() as home:
        now = home.database.now()
        with home.database.transaction() as db:
            journal.replay(db, journal.get(db, home.project_id, delivery), now)
        tell_delivery(home, delivery, as_json=as_json)


def replay_failed(
    webhook: WebhookId,
    since: Annotated[datetime, typer.Option(help="In UTC.")],
    as_json: AsJson = False,
) -> None:
    """Tell again what was given up, of all that was made since then."""
    with open_home() as home:
        now = home.database.now()
        with home.database.transaction() as db:
            found = endpoints.get(db, home.project_id, webhook)
            replayed = journal.replay_failed(db, found, since.replace(tzinfo=UTC), now)
    say({"replayed": replayed}, f"{replayed:,} messages are told again", as_json=as_json)


def tell_delivery(home: Home, delivery_id: str, *, as_json: bool) -> None:
    """Show one delivery."""
    with home.database.reading() as db:
        shown = delivery_public(journal.get(db, home.project_id, delivery_id))
    say(shown, delivery_line(shown), as_json=as_json)


def delivery_line(delivery: dict[str, Any]) -> str:
    """A delivery in one line."""
    tries = f"{delivery['tries']} tries"
    came = delivery["last_error"] or delivery["last_status"] or ""
    coming = f"next {delivery['next_try_at']}" if delivery["next_try_at"] else ""
    parts = [delivery["id"], delivery["created_at"], delivery["type"], delivery["subject_id"]]
    return "  ".join(str(part) for part in (*parts, delivery["state"], tries, came, coming) if part)
