"""`darkroom projects`: who there is, and what each may have of the rate."""

from typing import Annotated, Any

import typer
from sqlalchemy import Connection

from jobs import projects as store
from jobs import tallies
from jobs.cli.answer import AsJson, say
from jobs.cli.group import new_group
from jobs.cli.home import open_home
from jobs.cli.progress import states
from jobs.keys import PROJECT_FORM
from jobs.public import credits_of, when

commands = new_group("List projects, or set what one may have of the rate.")


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.add_typer(commands, name="projects")


@commands.command("list")
def list_projects(as_json: AsJson = False) -> None:
    """List the projects with their terms and their jobs."""
    with open_home() as home, home.database.reading() as db:
        found = [(row, tallies.counts(db, project_id=row.id)) for row in store.list_projects(db)]
    say(
        [public(row, counts) for row, counts in found],
        *(line(row, counts) for row, counts in found),
        as_json=as_json,
    )


@commands.command("set")
def set_terms(
    project: str,
    weight: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="Jobs started in its turn, where others start one."),
    ] = None,
    max_in_flight: Annotated[
        int | None, typer.Option(min=0, help="Jobs under way at once; 0 for any number.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Give a project a weight or a cap; it is made if there is none of that name."""
    known_form(project)
    changes: dict[str, int | None] = {}
    if weight is not None:
        changes["weight"] = weight
    if max_in_flight is not None:
        changes["max_in_flight"] = max_in_flight or None
    if not changes:
        raise typer.BadParameter("say what: --weight or --max-in-flight")
    with open_home() as home:
        now = home.database.now()
        with home.database.transaction() as db:
            store.set_terms(db, project, now, **changes)
            shown = look(db, project)
    cap = "any number" if shown["max_in_flight"] is None else shown["max_in_flight"]
    say(shown, f"{project}  weight {shown['weight']}, {cap} in flight", as_json=as_json)


def known_form(project: str) -> str:
    """A project's name, if it can be one."""
    if not PROJECT_FORM.fullmatch(project):
        raise typer.BadParameter("a project is up to 63 small letters, digits, - and _")
    return project


def look(db: Connection, project: str) -> dict[str, Any]:
    """A project's public form; raises NotFound."""
    return public(store.get_project(db, project), tallies.counts(db, project_id=project))


def public(row: Any, counts: tallies.Counts) -> dict[str, Any]:
    """A project as programs see it."""
    return {
        "id": row.id,
        "weight": row.weight,
        "max_in_flight": row.max_in_flight,
        "paused_at": when(row.paused_at),
        "jobs": {str(state): number for state, number in counts.by_state.items()},
        "credits": {"spent": credits_of(counts.charged_milli)},
        "created_at": when(row.created_at),
    }


def line(row: Any, counts: tallies.Counts) -> str:
    """A project in one line."""
    cap = "" if row.max_in_flight is None else f"at most {row.max_in_flight} in flight"
    paused = "paused" if row.paused_at else ""
    parts = [row.id, f"weight {row.weight}", cap, paused, states(counts)]
    return "  ".join(part for part in parts if part)
