"""`darkroom keys`: make, list, limit, rotate and revoke the keys of the HTTP interface."""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from jobs import keys as store
from jobs.cli.answer import AsJson, say, say_list
from jobs.cli.group import new_group
from jobs.cli.home import open_home
from jobs.keys import PROJECT_FORM, Scope
from jobs.limits import Limits
from jobs.models import DEFAULT_PROJECT
from jobs.public import when

commands = new_group("List API keys; create, limit, rotate or revoke one.")

KeyId = Annotated[str, typer.Argument(help="The key's id.")]

LIMITS = ", ".join(Limits.model_fields)
SPAN = re.compile(r"(\d{1,6})([smhd])")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.add_typer(commands, name="keys")


@commands.command("create")
def create(
    project: Annotated[str, typer.Option(help="What the key belongs to.")] = DEFAULT_PROJECT,
    scopes: Annotated[str, typer.Option(help="Comma separated.")] = "submit,read",
    days: Annotated[int | None, typer.Option(min=1, max=3650, help="Until it expires.")] = None,
    limit: Annotated[
        list[str] | None, typer.Option(help=f"NAME=NUMBER, of {LIMITS}; may be repeated.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and show it, this once."""
    if not PROJECT_FORM.fullmatch(project):
        raise typer.BadParameter(
            "is up to 63 small letters, digits, - and _", param_hint="--project"
        )
    wanted = read_scopes(scopes)
    limits = read_limits(limit or [])
    with open_home() as home:
        now = home.database.now()
        expires_at = now + timedelta(days=days) if days else None
        with home.database.transaction() as db:
            key, key_id = store.create_key(
                db, project, wanted, now, expires_at=expires_at, limits=limits
            )
            row = store.get_key(db, key_id)
    show_once(key, row, as_json=as_json)


@commands.command("limit")
def set_limits(
    key_id: KeyId,
    changes: Annotated[list[str], typer.Argument(help=f"NAME=NUMBER or NAME=none, of {LIMITS}.")],
    as_json: AsJson = False,
) -> None:
    """Change what a key may ask for; it holds within a second."""
    named = read_changes(changes, hint="CHANGES")
    with open_home() as home, home.database.transaction() as db:
        try:
            limits = store.set_limits(db, key_id, named)
        except ValidationError as error:
            raise bad_limit(error, hint="CHANGES") from error
    changed = {"id": key_id, "limits": limits.model_dump()}
    say(changed, f"{key_id}: {in_words(limits)}", as_json=as_json)


@commands.command("rotate")
def rotate(
    key_id: KeyId,
    overlap: Annotated[
        str, typer.Option(help="How long the old key works on: 90s, 30m, 24h or 7d.")
    ] = "24h",
    as_json: AsJson = False,
) -> None:
    """Make a key like this one and show it, this once; the old one ends after the overlap."""
    span = read_span(overlap)
    with open_home() as home:
        now = home.database.now()
        with home.database.transaction() as db:
            key, new_id = store.rotate_key(db, key_id, now, overlap=span)
            row, old = store.get_key(db, new_id), store.get_key(db, key_id)
    ends_at = when(store.end_of(old))
    replaced = {"id": key_id, "expires_at": ends_at}
    show_once(key, row, f"{key_id} ends at {ends_at}.", as_json=as_json, replaces=replaced)


@commands.command("list")
def list_keys(
    project: Annotated[str | None, typer.Option(help="Only this one's.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the keys, without their secrets."""
    with open_home() as home, home.database.reading() as db:
        found, now = store.list_keys(db, project), home.database.now()
    say_list([public(row) for row in found], (line(row, now) for row in found), as_json=as_json)


@commands.command("revoke")
def revoke(key_id: KeyId, as_json: AsJson = False) -> None:
    """End a key; it works for a second more at the most."""
    with open_home() as home:
        now = home.database.now()
        with home.database.transaction() as db:
            store.revoke_key(db, key_id, now)
            row = store.get_key(db, key_id)
    say(public(row), f"{key_id} is revoked", as_json=as_json)


def read_scopes(text: str) -> set[Scope]:
    """The scopes of `submit,read`."""
    try:
        wanted = {Scope(name.strip()) for name in text.split(",")}
    except ValueError:
        names = ", ".join(Scope)
        raise typer.BadParameter(f"are some of {names}", param_hint="--scopes") from None
    return wanted


def read_limits(texts: Iterable[str]) -> Limits:
    """The limits of a new key."""
    try:
        return Limits.model_validate(read_changes(texts, hint="--limit"))
    except ValidationError as error:
        raise bad_limit(error, hint="--limit") from error


def read_changes(texts: Iterable[str], *, hint: str) -> dict[str, int | None]:
    """`requests=50 open-jobs=none`."""
    changes: dict[str, int | None] = {}
    for text in texts:
        name, _, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if name not in Limits.model_fields:
            raise typer.BadParameter(f"{name!r} is no limit; there are {LIMITS}", param_hint=hint)
        if value != "none" and not re.fullmatch(r"\d{1,16}", value):
            raise typer.BadParameter(
                f"write {name}=NUMBER, or {name}=none for no limit", param_hint=hint
            )
        changes[name] = None if value == "none" else int(value)
    return changes


def bad_limit(error: ValidationError, *, hint: str) -> typer.BadParameter:
    """What is wrong with the numbers."""
    faults = [f"{item['loc'][0]}: {item['msg']}" for item in error.errors(include_url=False)]
    return typer.BadParameter("; ".join(faults), param_hint=hint)


def read_span(text: str) -> timedelta:
    """`24h`."""
    found = SPAN.fullmatch(text.strip())
    if found is None:
        raise typer.BadParameter("is written as 90s, 30m, 24h or 7d", param_hint="--overlap")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def in_words(limits: Limits) -> str:
    """`requests=50 open_jobs=1000`."""
    named = limits.model_dump(exclude_none=True).items()
    return " ".join(f"{name}={value}" for name, value in named) or "no limits"


def show_once(key: str, row: Any, *lines: str, as_json: bool, **more: Any) -> None:
    """The key itself, for the only time."""
    keep = f"Keep it: it is not shown again. Project {row.project_id}, id {row.id}."
    say({"key": key, **public(row), **more}, key, keep, *lines, as_json=as_json)


def line(row: Any, now: datetime) -> str:
    """A key in one line."""
    parts = [row.id, row.project_id, ",".join(row.scopes)]
    if row.limits:
        parts.append(in_words(store.limits_of(row)))
    if row.revoked_at and row.revoked_at <= now:
        parts.append("revoked")
    elif ends_at := store.end_of(row):
        parts.append(f"{'expired' if ends_at <= now else 'expires'} {when(ends_at)}")
    return "  ".join(parts)


def public(row: Any) -> dict[str, Any]:
    """A key as programs see it."""
    return {
        "id": row.id,
        "project": row.project_id,
        "scopes": row.scopes,
        "limits": store.limits_of(row).model_dump(exclude_none=True),
        "created_at": when(row.created_at),
        "expires_at": when(row.expires_at),
        "revoked_at": when(row.revoked_at),
        "last_used_at": when(row.last_used_at),
    }
