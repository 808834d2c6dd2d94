"""What a command needs: settings, database, bucket."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values
from sqlalchemy.exc import DatabaseError, OperationalError

from jobs.db import Database, ensure
from jobs.errors import PartUnavailable, SettingsError
from jobs.models import DEFAULT_PROJECT, Project, table
from jobs.schema import migrate
from jobs.settings import ENV_FILE, Settings, read_settings
from jobs.storage import open_storage
from jobs.storage.protocol import Storage
from jobs.surroundings import strangers
from jobs.telemetry import configure_logs, protect
from jobs.vault import open_vault


@dataclass(frozen=True)
class Home:
    """An open database and bucket."""

    settings: Settings
    database: Database
    storage: Storage
    project_id: str = DEFAULT_PROJECT


def settings_for(process: str) -> Settings:
    """Read the settings and start the logs."""
    settings = read_settings()
    lend_aws_settings(ENV_FILE)
    protect(*settings.secrets)
    configure_logs(settings.darkroom_log, process=process)
    # A secret that seals nothing is refused now, not when the first key is to be opened.
    open_vault(settings)
    for line in strangers(ENV_FILE, {name.upper() for name in Settings.model_fields}):
        print(f"darkroom: {line}", file=sys.stderr)
    return settings


def lend_aws_settings(env_file: Path) -> None:
    """Let boto3, which reads only the environment, see the AWS settings of `.env`."""
    for name, value in dotenv_values(env_file).items():
        if name.startswith("AWS_") and value is not None:
            os.environ.setdefault(name, value)


def prepare(settings: Settings) -> Database:
    """Open the database, up to date. Raises PartUnavailable."""
    make_folder(settings)
    database = Database(settings.database_address)
    try:
        migrate(database)
        with database.transaction() as db:
            ensure(db, table(Project), {"id": DEFAULT_PROJECT, "created_at": database.now()})
    except DatabaseError as error:
        reason = str(error.orig).partition("\n")[0]
        if isinstance(error, OperationalError):
            raise PartUnavailable(f"the database does not answer: {reason}") from error
        # SQLite says so of a file that it cannot read; any other kind is a fault of ours.
        if type(error) is DatabaseError:
            place = database.engine.url.database
            mend = "move it away, or set another DARKROOM_HOME"
            raise PartUnavailable(f"{place}: {reason}; {mend}") from error
        raise
    return database


def make_folder(settings: Settings) -> None:
    """Make the home, where it is not there yet; raises SettingsError."""
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"DARKROOM_HOME: the folder {settings.home} cannot be made: {error.strerror}; "
            "set it to one that you may write, or go to another folder"
        ) from error


@contextmanager
def open_home(settings: Settings | None = None) -> Iterator[Home]:
    """Everything a command needs, closed at the end."""
    settings = settings or settings_for("cli")
    database = prepare(settings)
    try:
        yield Home(settings, database, open_storage(settings))
    finally:
        database.close()
