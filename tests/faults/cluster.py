"""A Postgres that can be restarted, and databases in it that can be taken away one by one."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from threading import Lock

import psycopg

from jobs.db import Database
from jobs.schema import migrate
from tests.faults.process import Process
from tests.faults.waiting import until
from tests.postgres import debian_binaries, driver_url, execute, unprivileged, wheel_binaries
from tests.servers import temporary_folder

#: What is committed must outlive the server's own death; the machine's is not played here.
SETTINGS = (
    "fsync=off",
    "synchronous_commit=on",
    "full_page_writes=off",
    "listen_addresses=",
    "max_connections=400",
)


class Cluster:
    """A running Postgres and the template of its databases."""

    def __init__(self, server: Process, address: str) -> None:
        self.server = server
        self.address = address
        self._numbers = count(1)
        self._lock = Lock()

    def start(self) -> None:
        """Run the server and wait until it answers."""
        self.server.start()
        until(self.accepts, "Postgres answers", 60)

    def accepts(self) -> bool:
        """Whether it takes connections."""
        try:
            psycopg.connect(self.address.format(name="postgres")).close()
        except psycopg.OperationalError:
            return False
        return True

    def make_database(self) -> str:
        """A migrated database; returns its name."""
        with self._lock:
            name = f"faults_{next(self._numbers)}"
            execute(self.address, f"CREATE DATABASE {name} TEMPLATE template")
        return name


class PostgresDatabase:
    """One database, and what can befall it alone."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.name = name
        self.url = driver_url(cluster.address, name)

    def cut_connections(self) -> None:
        """End every session, in the middle of whatever it does."""
        self._execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE datname = '{self.name}' AND pid <> pg_backend_pid()"
        )

    def take_away(self) -> None:
        """Let nobody in, and put everybody out."""
        self._execute(f"ALTER DATABASE {self.name} WITH ALLOW_CONNECTIONS false")
        self.cut_connections()

    def bring_back(self) -> None:
        """Let everybody in again."""
        self._execute(f"ALTER DATABASE {self.name} WITH ALLOW_CONNECTIONS true")

    def make_read_only(self) -> None:
        """Refuse every change, as a standby does that was not promoted yet."""
        self._execute(f"ALTER DATABASE {self.name} SET default_transaction_read_only = on")
        self.cut_connections()

    def make_writable(self) -> None:
        """Take changes again; sessions that began read-only stay so, and are ended."""
        self._execute(f"ALTER DATABASE {self.name} RESET default_transaction_read_only")
        self.cut_connections()

    def dump(self) -> bytes:
        """Every row of every table as text."""
        with psycopg.connect(self.cluster.address.format(name=self.name)) as connection:
            tables = connection.execute(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
            ).fetchall()
            rows = [
                row[0]
                for (name,) in tables
                for row in connection.execute(f'SELECT t::text FROM "{name}" t'.encode())
            ]
        return "\n".join(rows).encode()

    def _execute(self, statement: str) -> None:
        execute(self.cluster.address, statement)


@contextmanager
def postgres_cluster() -> Iterator[Cluster]:
    """A cluster in a folder of its own."""
    with temporary_folder() as folder:
        binaries = wheel_binaries(folder) or debian_binaries()
        if binaries is None:
            raise RuntimeError("there is no Postgres on this machine")
        # Its owner is another user when we are root.
        folder.chmod(0o777)
        server = Process(
            "postgres", server_command(binaries, folder), folder=folder, environment={}
        )
        cluster = Cluster(server, f"postgresql://postgres@/{{name}}?host={folder}")
        cluster.start()
        try:
            make_template(cluster)
            yield cluster
        finally:
            with suppress(ProcessLookupError):
                server.kill()


def server_command(binaries: Path, folder: Path) -> list[str]:
    """Make the data folder, and the command that serves it."""
    data = folder / "data"
    initdb = [str(binaries / "initdb"), "-D", str(data), "--username=postgres", "--no-sync"]
    subprocess.run(
        unprivileged([*initdb, "--auth=trust", "--encoding=UTF8", "--locale=C"]),
        check=True,
        capture_output=True,
        cwd=folder,
    )
    settings = (*SETTINGS, f"unix_socket_directories={folder}")
    server = [str(binaries / "postgres"), "-D", str(data), *(f"-c{item}" for item in settings)]
    return unprivileged(server)


def make_template(cluster: Cluster) -> None:
    """A migrated database to clone."""
    execute(cluster.address, "CREATE DATABASE template")
    database = Database(driver_url(cluster.address, "template"))
    migrate(database)
    database.close()
