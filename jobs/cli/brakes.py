"""`darkroom pause` and `darkroom resume`: everything, a project, a credential or a batch."""

from datetime import datetime
from typing import Annotated

import typer
from sqlalchemy import Connection

from jobs import batches, credentials, projects
from jobs.cli.home import Home, open_home
from jobs.credentials import Keyring
from jobs.errors import Conflict, NotFound
from jobs.queue import brakes

Project = Annotated[str | None, typer.Option(help="Only this project.")]
Credential = Annotated[str | None, typer.Option(help="Only this Stability key, by its id.")]
Batch = Annotated[str | None, typer.Option(help="Only this batch, by name or id.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("pause")(pause)
    app.command("resume")(resume)


def pause(project: Project = None, credential: Credential = None, batch: Batch = None) -> None:
    """Send and pay nothing new; what was paid is still fetched and stored."""
    print(f"{brake(project, credential, batch, is_paused=True)} paused")


def resume(project: Project = None, credential: Credential = None, batch: Batch = None) -> None:
    """Go on, where no other pause stands in the way."""
    print(f"{brake(project, credential, batch, is_paused=False)} resumed")


def brake(
    project: str | None, credential: str | None, batch: str | None, *, is_paused: bool
) -> str:
    """Pause or resume what is named; returns what that is."""
    if sum(name is not None for name in (project, credential, batch)) > 1:
        raise Conflict("say one of --project, --credential and --batch, or none for everything")
    with open_home() as home:
        now = home.database.now()
        Keyring(home.database, home.settings.api_keys).register()
        with home.database.transaction() as db:
            if project is not None:
                set_project(db, project, now, is_paused=is_paused)
                return f"project {project}"
            if credential is not None:
                credentials.pause(db, credential, now if is_paused else None)
                return f"credential {credential}"
            if batch is not None:
                return set_batch(db, home, batch, now if is_paused else None)
            if is_paused:
                brakes.pause_all(db, now)
            else:
                brakes.resume_all(db)
            return "everything"


def set_project(db: Connection, project: str, now: datetime, *, is_paused: bool) -> None:
    """Pause or resume a project; raises NotFound."""
    if not any(row.id == project for row in projects.list_projects(db)):
        raise NotFound(f"there is no project {project!r}; `darkroom projects list` shows them")
    if is_paused:
        brakes.pause_project(db, project, now)
    else:
        brakes.resume_project(db, project)


def set_batch(db: Connection, home: Home, name: str, paused_at: datetime | None) -> str:
    """Pause or resume a batch; raises NotFound."""
    batch = batches.get_batch(db, home.project_id, name)
    batches.pause(db, home.project_id, batch.id, paused_at)
    return f"batch {batch.name}"
