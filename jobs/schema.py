"""The database's schema: bring it up to date, and tell whether it is."""

import time
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from jobs.db import Database
from jobs.errors import PartUnavailable

MIGRATIONS = Path(__file__).parent / "migrations"
#: The newest migration, which this code needs; a test compares it with the folder.
HEAD = "0007"
#: Of Postgres's advisory locks, the one for migrations; an arbitrary number.
MIGRATION_LOCK = 6_840_113

#: How long a worker waits for somebody to migrate.
PATIENCE_SECONDS = 60.0
LOOK_SECONDS = 0.1


def migrate(database: Database) -> None:
    """Bring the schema to `HEAD`; several processes may try at once."""
    with database.reading() as db:
        if current_revision(db) == HEAD:
            return
    # Alembic takes a third of a second to import, and is needed once in a database's life.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with database.transaction() as db:
        if not database.is_sqlite:
            db.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
        config.attributes["connection"] = db
        command.upgrade(config, "head")


def current_revision(db: Connection) -> str | None:
    """The schema's revision; None before the first migration."""
    if not inspect(db).has_table("alembic_version"):
        return None
    revision: str | None = db.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return revision


def wait_for_schema(database: Database) -> None:
    """Return once somebody has migrated; raises PartUnavailable after a minute."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        with database.reading() as db:
            found = current_revision(db)
        if found is not None and found >= HEAD:
            return
        if time.monotonic() > deadline:
            raise PartUnavailable(
                f"the database's schema is {found or 'not there'}, not {HEAD}: "
                "run `darkroom migrate`"
            )
        time.sleep(LOOK_SECONDS)
