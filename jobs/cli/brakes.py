"""`darkroom pause` and `darkroom resume`: everything, a project, a credential or a batch."""

from datetime import datetime
from typing import Annotated, Any

import typer
from sqlalchemy import Connection

from jobs import batches, credentials, projects
from jobs.cli.answer import AsJson, say
from jobs.cli.batches import see
from jobs.cli.credentials import public as credential_public
from jobs.cli.home import Home, open_home
from jobs.cli.projects import look as look_at_project
from jobs.credentials import Keyring
from jobs.errors import Conflict
from jobs.forecast import Forecaster
from jobs.public import when
from jobs.queue import brakes

Project = Annotated[str | None, typer.Option(help="Only this project.")]
Credential = Annotated[str | None, typer.Option(help="Only this Stability key, by its id.")]
Batch = Annotated[str | None, typer.Option(help="Only this batch, by name or id.")]

#: What is braked, in words and in its public form.
Braked = tuple[str, dict[str, Any]]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("pause")(pause)
    app.command("resume")(resume)


def pause(
    project: Project = None,
    credential: Credential = None,
    batch: Batch = None,
    as_json: AsJson = False,
) -> None:
    """Send and pay nothing new; what was paid is still fetched and stored."""
    name, shown = brake(project, credential, batch, is_paused=True)
    say(shown, f"{name} paused", as_json=as_json)


def resume(
    project: Project = None,
    credential: Credential = None,
    batch: Batch = None,
    as_json: AsJson = False,
) -> None:
    """Go on, where no other pause stands in the way."""
    name, shown = brake(project, credential, batch, is_paused=False)
    say(shown, f"{name} resumed", as_json=as_json)


def brake(
    project: str | None, credential: str | None, batch: str | None, *, is_paused: bool
) -> Braked:
    """Pause or resume what is named."""
    if sum(name is not None for name in (project, credential, batch)) > 1:
        raise Conflict("say one of --project, --credential and --batch, or none for everything")
    with open_home() as home:
        paused_at = home.database.now() if is_paused else None
        Keyring(home.database, home.settings.api_keys).register()
        with home.database.transaction() as db:
            if project is not None:
                return set_project(db, project, paused_at)
            if credential is not None:
                return set_credential(db, credential, paused_at)
            if batch is not None:
                return set_batch(db, home, batch, paused_at)
            return set_all(db, paused_at)


def set_all(db: Connection, paused_at: datetime | None) -> Braked:
    """Pause or resume everything."""
    if paused_at is None:
        brakes.resume_all(db)
    else:
        brakes.pause_all(db, paused_at)
    return "everything", {"id": brakes.ALL, "paused_at": when(brakes.all_paused_at(db))}


def set_project(db: Connection, project: str, paused_at: datetime | None) -> Braked:
    """Pause or resume a project; raises NotFound."""
    projects.get_project(db, project)
    if paused_at is None:
        brakes.resume_project(db, project)
    else:
        brakes.pause_project(db, project, paused_at)
    return f"project {project}", look_at_project(db, project)


def set_credential(db: Connection, credential: str, paused_at: datetime | None) -> Braked:
    """Pause or resume a Stability key; raises NotFound."""
    credential_id = credentials.get_credential(db, credential).id
    credentials.pause(db, credential_id, paused_at)
    found = credentials.get_credential(db, credential_id)
    return f"credential {credential}", credential_public(found)


def set_batch(db: Connection, home: Home, name: str, paused_at: datetime | None) -> Braked:
    """Pause or resume a batch; raises NotFound."""
    batch_id = batches.get_batch(db, home.project_id, name).id
    batches.pause(db, home.project_id, batch_id, paused_at)
    batch = batches.get_batch(db, home.project_id, batch_id)
    return f"batch {batch.name}", see(home, db, batch, Forecaster(home.settings)).public()
