"""`darkroom credentials`: the Stability keys, their state and their balances."""

import sys
from typing import Annotated, Any

import typer

from jobs import credentials as store
from jobs.cli.home import Home, open_home, print_json, settings_for
from jobs.credentials import BY_HAND, Keyring
from jobs.errors import SettingsError
from jobs.public import credits_of, when
from jobs.vault import Vault, new_secret, open_vault

commands = typer.Typer(
    help="List Stability keys; add, stop or start one.",
    invoke_without_command=True,
    add_completion=False,
)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.add_typer(commands, name="credentials")


@commands.callback()
def list_credentials(
    context: typer.Context, as_json: Annotated[bool, typer.Option("--json")] = False
) -> None:
    """List the credentials; the keys themselves are never shown."""
    if context.invoked_subcommand is not None:
        return
    with open_home() as home:
        Keyring(home.database, home.settings.api_keys).register()
        with home.database.reading() as db:
            found = store.list_credentials(db)
    if as_json:
        print_json([public(row) for row in found])
        return
    for row in found:
        state = "paused" if row.paused_at else "in use"
        if row.stopped_at:
            state = f"stopped: {row.stop_reason}"
        balance = "" if row.balance_milli is None else f"  {credits_of(row.balance_milli)} credits"
        print(f"{row.id}  {row.name}  {state}{balance}")


def public(row: Any) -> dict[str, Any]:
    """A credential as programs see it."""
    return {
        "id": row.id,
        "name": row.name,
        "is_sealed": row.sealed_key is not None,
        "paused_at": when(row.paused_at),
        "stopped_at": when(row.stopped_at),
        "stop_reason": row.stop_reason,
        "balance": credits_of(row.balance_milli),
        "checked_at": when(row.checked_at),
    }


@commands.command("add")
def add(name: Annotated[str, typer.Option(help="What to call it.")]) -> None:
    """Keep a key in the database, encrypted. The key is read from standard input."""
    with open_home() as home:
        vault = vault_of(home)
        if sys.stdin.isatty():
            print("Stability key: ", end="", file=sys.stderr, flush=True)
        key = sys.stdin.readline().strip()
        if not key or not key.isprintable() or " " in key:
            raise SettingsError("no key was given; write it on standard input, in one line")
        now = home.database.now()
        with home.database.transaction() as db:
            credential_id = store.add_credential(db, vault, key, name, now)
    print(credential_id)


def vault_of(home: Home) -> Vault:
    """The vault; raises SettingsError without a secret."""
    vault = open_vault(home.settings)
    if vault is None:
        raise SettingsError(
            "DARKROOM_SECRET_KEY is not set, so keys cannot be encrypted; "
            "`darkroom credentials secret` makes one"
        )
    return vault


@commands.command("secret")
def secret() -> None:
    """Make a secret for DARKROOM_SECRET_KEY."""
    settings_for("credentials")
    print(new_secret())


@commands.command("stop")
def stop(credential: str) -> None:
    """Send nothing more with it; results that it is owed wait."""
    with open_home() as home:
        now = home.database.now()
        with home.database.transaction() as db:
            store.stop(db, credential, BY_HAND, now)


@commands.command("start")
def start(credential: str) -> None:
    """Use it again."""
    with open_home() as home, home.database.transaction() as db:
        store.start(db, credential)
