"""Projects: what each may have of the rate."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select, update

from jobs.db import ensure
from jobs.errors import NotFound
from jobs.models import Project, table

PROJECT = table(Project)


@dataclass(frozen=True)
class Terms:
    """What holds for a project; one without a row of its own has these."""

    weight: int = 1
    max_in_flight: int | None = None


def list_projects(db: Connection) -> list[Row[Any]]:
    """All projects, by name."""
    return list(db.execute(select(PROJECT).order_by(PROJECT.c.id)))


def get_project(db: Connection, project_id: str) -> Row[Any]:
    """A project; raises NotFound."""
    found = db.execute(select(PROJECT).where(PROJECT.c.id == project_id)).one_or_none()
    if found is None:
        raise NotFound(f"there is no project {project_id!r}; `darkroom projects list` shows them")
    return found


def terms_of(db: Connection, project_id: str) -> Terms:
    """A project's terms."""
    found = select(PROJECT.c.weight, PROJECT.c.max_in_flight).where(PROJECT.c.id == project_id)
    row = db.execute(found).one_or_none()
    return Terms() if row is None else Terms(row.weight, row.max_in_flight)


def set_terms(db: Connection, project_id: str, now: datetime, **changes: int | None) -> None:
    """Change weight or max_in_flight; a project that has nothing yet is made."""
    ensure(db, PROJECT, {"id": project_id, "created_at": now})
    if changes:
        db.execute(update(PROJECT).where(PROJECT.c.id == project_id).values(changes))
