"""`darkroom projects`: who there is, and what each may have of the rate."""

from typing import Annotated, Any

import typer

from jobs import projects as store
from jobs import tallies
from jobs.cli.home import open_home, print_json
from jobs.cli.progress import states
from jobs.keys import PROJECT_FORM
from jobs.public import credits_of, when

commands = typer.Typer(
    help="List projects, or set what one may have of the rate.", no_args_is_help=True
)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.add_typer(commands, name="projects")


@commands.command("list")
def list_projects(as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """List the projects with their terms and their jobs."""
    with open_home() as home, home.database.reading() as db:
        found = [(row, tallies.counts(db, project_id=row.id)) for row in store.list_projects(db)]
    if as_json:
        print_json([public(row, counts) for row, counts in found])
        return
    for row, counts in found:
        cap = "" if row.max_in_flight is None else f"at most {row.max_in_flight} in flight"
        paused = "paused" if row.paused_at else ""
        parts = [row.id, f"weight {row.weight}", cap, paused, states(counts)]
        print("  ".join(part for part in parts if part))


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
            terms = store.terms_of(db, project)
    cap = "any number" if terms.max_in_flight is None else str(terms.max_in_flight)
    print(f"{project}  weight {terms.weight}, {cap} in flight")


def known_form(project: str) -> str:
    """A project's name, if it can be one."""
    if not PROJECT_FORM.fullmatch(project):
        raise typer.BadParameter("a project is up to 63 small letters, digits, - and _")
    return project


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
