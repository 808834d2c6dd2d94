"""`darkroom keys`: make, list and revoke the keys of the HTTP interface."""

from datetime import timedelta
from typing import Annotated, Any

import typer

from jobs import keys as store
from jobs.cli.home import open_home, print_json
from jobs.keys import PROJECT_FORM, Scope
from jobs.models import DEFAULT_PROJECT
from jobs.public import when

commands = typer.Typer(help="Make, list or revoke API keys.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json")]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.add_typer(commands, name="keys")


@commands.command("create")
def create(
    project: Annotated[str, typer.Option(help="What the key belongs to.")] = DEFAULT_PROJECT,
    scopes: Annotated[str, typer.Option(help="Comma separated.")] = "submit,read",
    days: Annotated[int | None, typer.Option(min=1, max=3650, help="Until it expires.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and show it, this once."""
    if not PROJECT_FORM.fullmatch(project):
        raise typer.BadParameter(
            "is up to 63 small letters, digits, - and _", param_hint="--project"
        )
    wanted = read_scopes(scopes)
    with open_home() as home:
        now = home.database.now()
        expires_at = now + timedelta(days=days) if days else None
        with home.database.transaction() as db:
            key, key_id = store.create_key(db, project, wanted, now, expires_at=expires_at)
    if as_json:
        print_json({"key": key, "id": key_id, "project": project, "scopes": sorted(wanted)})
    else:
        print(f"{key}\nKeep it: it is not shown again. Project {project}, id {key_id}.")


@commands.command("list")
def list_keys(
    project: Annotated[str | None, typer.Option(help="Only this one's.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the keys, without their secrets."""
    with open_home() as home, home.database.reading() as db:
        found = store.list_keys(db, project)
    if as_json:
        print_json([public(row) for row in found])
        return
    for row in found:
        ended = "  revoked" if row.revoked_at else ""
        print(f"{row.id}  {row.project_id}  {','.join(row.scopes)}{ended}")


@commands.command("revoke")
def revoke(key_id: Annotated[str, typer.Argument(help="The key's id.")]) -> None:
    """End a key; it works for a second more at the most."""
    with open_home() as home:
        now = home.database.now()
        with home.database.transaction() as db:
            store.revoke_key(db, key_id, now)
    print(f"{key_id} is revoked")


def read_scopes(text: str) -> set[Scope]:
    """The scopes of `submit,read`."""
    try:
        wanted = {Scope(name.strip()) for name in text.split(",")}
    except ValueError:
        names = ", ".join(Scope)
        raise typer.BadParameter(f"are some of {names}", param_hint="--scopes") from None
    return wanted


def public(row: Any) -> dict[str, Any]:
    """A key as programs see it."""
    return {
        "id": row.id,
        "project": row.project_id,
        "scopes": row.scopes,
        "created_at": when(row.created_at),
        "expires_at": when(row.expires_at),
        "revoked_at": when(row.revoked_at),
        "last_used_at": when(row.last_used_at),
    }
