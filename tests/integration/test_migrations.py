"""The migrations make exactly the models' schema, on both databases, and can be undone."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, inspect
from sqlmodel import SQLModel

from jobs.db import Database
from jobs.schema import HEAD, MIGRATIONS, current_revision, migrate
from tests.factories import make_job, read_job
from tests.postgres import driver_url, execute

REPOSITORY = Path(__file__).parents[2]
MIGRATE = (
    "import sys; from jobs.db import Database; from jobs.schema import migrate; "
    "database = Database(sys.argv[1]); sys.stdin.read(); migrate(database)"
)


INDEXES = [index for table in SQLModel.metadata.tables.values() for index in table.indexes]
ON_EXPRESSIONS = {
    index.name
    for index in INDEXES
    if not all(isinstance(part, Column) for part in index.expressions)
}


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database in which nothing is."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    cluster = request.getfixturevalue("postgres_cluster")
    name = f"empty_{uuid4().hex}"
    execute(cluster, f"CREATE DATABASE {name}")
    yield driver_url(cluster, name)
    execute(cluster, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database(empty_url: str) -> Iterator[Database]:
    opened = Database(empty_url)
    yield opened
    opened.close()


def alembic(db: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = db
    return config


def indexes(db: Connection) -> set[str]:
    """The names of all indexes, those on expressions too, which reflection leaves out."""
    source = (
        "SELECT name FROM sqlite_master WHERE type = 'index'"
        if db.dialect.name == "sqlite"
        else "SELECT indexname FROM pg_indexes WHERE schemaname = 'public'"
    )
    return {row[0] for row in db.exec_driver_sql(source)}


def is_comparable(thing: Any, _name: object, kind: str, *_: object) -> bool:
    """Alembic cannot compare indexes on expressions: `indexes` finds these by name."""
    return kind != "index" or thing.name not in ON_EXPRESSIONS


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")
@pytest.mark.filterwarnings(
    "ignore:autogenerate skipping metadata-specified expression-based index"
)
def test_the_migrations_make_the_schema_of_the_models(database: Database) -> None:
    migrate(database)

    with database.reading() as db:
        context = MigrationContext.configure(db, opts={"include_object": is_comparable})
        assert compare_metadata(context, SQLModel.metadata) == []


def test_each_index_of_the_models_is_there(database: Database) -> None:
    migrate(database)

    wanted = {index.name for index in INDEXES}
    with database.reading() as db:
        assert wanted <= indexes(db)
    assert "job_to_start" in ON_EXPRESSIONS <= wanted


def test_each_check_of_the_models_is_there(database: Database) -> None:
    migrate(database)

    with database.reading() as db:
        found = {check["name"] for check in inspect(db).get_check_constraints("job")}
    assert {"final_has_an_end", "lease_is_whole", "due_or_leased"} <= found


def test_the_newest_migration_is_the_one_that_the_code_needs() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))

    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_a_downgrade_leaves_nothing_and_an_upgrade_brings_all_back(database: Database) -> None:
    migrate(database)

    with database.transaction() as db:
        command.downgrade(alembic(db), "base")
    with database.reading() as db:
        assert set(inspect(db).get_table_names()) == {"alembic_version"}
        assert current_revision(db) is None

    migrate(database)
    with database.transaction() as db:
        assert read_job(db, make_job(db)).state == "queued"


def test_migrating_again_changes_nothing(database: Database) -> None:
    migrate(database)
    with database.transaction() as db:
        job_id = make_job(db)

    migrate(database)

    with database.reading() as db:
        assert read_job(db, job_id).id == job_id
        assert current_revision(db) == HEAD


def test_two_processes_that_migrate_at_once_do_no_harm(database: Database, empty_url: str) -> None:
    starting = [
        subprocess.Popen(
            [sys.executable, "-c", MIGRATE, empty_url],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
        )
        for _ in range(2)
    ]

    for process in starting:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    complaints = [process.communicate(timeout=60)[1] for process in starting]

    assert [process.returncode for process in starting] == [0, 0], complaints
    with database.reading() as db:
        assert current_revision(db) == HEAD
