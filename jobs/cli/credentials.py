"""`darkroom credentials`: the Stability keys, their state and their balances."""

import sys
from typing import Annotated, Any

import typer

from jobs import credentials as store
from jobs.cli.answer import AsJson, say, say_list
from jobs.cli.group import new_group
from jobs.cli.home import Home, open_home
from jobs.credentials import BY_HAND, Keyring
from jobs.errors import SettingsError
from jobs.public import credential_public, credits_of
from jobs.settings import KEY_FORM, NO_KEY
from jobs.vault import Vault, new_secret, open_vault

NameOrId = Annotated[str, typer.Argument(help="Its name or id.")]

commands = new_group("List Stability keys; add, stop or start one.")


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.add_typer(commands, name="credentials")


@commands.command("list")
def list_credentials(as_json: AsJson = False) -> None:
    """List the credentials; the keys themselves are never shown."""
    with open_home() as home:
        Keyring(home.database, home.settings.api_keys).register()
        with home.database.reading() as db:
            found = store.list_credentials(db)
    say_list([public(row) for row in found], map(line, found), as_json=as_json)


@commands.command("add")
def add(
    name: Annotated[str, typer.Option(help="What to call it.")], as_json: AsJson = False
) -> None:
    """Keep a key in the database, encrypted. The key is read from standard input."""
    with open_home() as home:
        vault = vault_of(home)
        if sys.stdin.isatty():
            print("Stability key: ", end="", file=sys.stderr, flush=True)
        key = sys.stdin.readline().strip()
        if not key:
            raise SettingsError("no key was given; write it on standard input, in one line")
        if not KEY_FORM.fullmatch(key):
            raise SettingsError(f"standard input holds {NO_KEY}")
        now = home.database.now()
        with home.database.transaction() as db:
            added = store.get_credential(db, store.add_credential(db, vault, key, name, now))
    say(public(added), added.id, as_json=as_json)


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
def secret(as_json: AsJson = False) -> None:
    """Make a secret for DARKROOM_SECRET_KEY."""
    # No settings are read: whoever has a wrong secret needs a right one.
    made = new_secret()
    say({"secret": made}, made, as_json=as_json)


@commands.command("stop")
def stop(credential: NameOrId, as_json: AsJson = False) -> None:
    """Send nothing more with it; results that it is owed wait."""
    with open_home() as home:
        now = home.database.now()
        with home.database.transaction() as db:
            credential_id = store.get_credential(db, credential).id
            store.stop(db, credential_id, BY_HAND, now)
            stopped = store.get_credential(db, credential_id)
    say(public(stopped), line(stopped), as_json=as_json)


@commands.command("start")
def start(credential: NameOrId, as_json: AsJson = False) -> None:
    """Use it again."""
    with open_home() as home, home.database.transaction() as db:
        credential_id = store.get_credential(db, credential).id
        store.start(db, credential_id)
        started = store.get_credential(db, credential_id)
    say(public(started), line(started), as_json=as_json)


def public(row: Any) -> dict[str, Any]:
    """A credential as programs see it."""
    return credential_public(row) | {"is_sealed": row.sealed_key is not None}


def line(row: Any) -> str:
    """A credential in one line."""
    state = "paused" if row.paused_at else "in use"
    if row.stopped_at:
        state = f"stopped: {row.stop_reason}"
    balance = "" if row.balance_milli is None else f"  {credits_of(row.balance_milli)} credits"
    return f"{row.id}  {row.name}  {state}{balance}"
