"""Where a rig stands: its servers are started, its settings made of their addresses."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import requests

from jobs.settings import Settings
from jobs.storage import open_storage
from tests.faults.broker import Broker
from tests.faults.bucket import BucketProxy
from tests.faults.cluster import Cluster, PostgresDatabase, postgres_cluster
from tests.faults.rig import Rig
from tests.faults.setup import Setup
from tests.faults.upstream import Upstream

#: What moto takes from anybody.
S3_ACCESS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass(frozen=True)
class Servers:
    """What experiments share."""

    cluster: Cluster
    s3_url: str


@contextmanager
def open_rig(setup: Setup, folder: Path, servers: Servers, *, is_long: bool) -> Iterator[Rig]:
    """Start what the setup asks for; all of it ends with the block."""
    with ExitStack() as stack:
        broker, upstream = Broker(folder), Upstream(folder, setup.sandbox_options)
        for server in (broker, upstream):
            stack.callback(server.kill)
            server.start()
        bucket = stack.enter_context(BucketProxy(servers.s3_url))
        postgres = open_database(stack, setup, servers)
        environment = {
            **setup.environment,
            "STABILITY_API_HOST": upstream.address,
            "REDIS_URL": broker.url,
            "DARKROOM_HOME": str(folder / "home"),
            **({"DATABASE_URL": postgres.url} if postgres else {}),
            **(S3_ACCESS | new_bucket(servers, bucket) if setup.storage == "s3" else {}),
        }
        (folder / "home").mkdir()
        settings = our_settings(environment, servers)
        rig = Rig(
            setup=setup,
            folder=folder,
            settings=settings,
            environment=environment,
            broker=broker,
            upstream=upstream,
            bucket=bucket,
            storage=open_storage(settings),
            postgres=postgres,
            is_long=is_long,
        )
        stack.callback(rig.database.close)
        rig.prepare()
        stack.enter_context(rig.crew)
        rig.staff()
        yield rig


def open_database(stack: ExitStack, setup: Setup, servers: Servers) -> PostgresDatabase | None:
    """A Postgres database of the rig's own; None for SQLite."""
    if setup.database == "sqlite":
        return None
    cluster = servers.cluster
    if setup.own_cluster:
        cluster = stack.enter_context(postgres_cluster())
    return PostgresDatabase(cluster, cluster.make_database())


def new_bucket(servers: Servers, proxy: BucketProxy) -> dict[str, str]:
    """An empty bucket, as workers reach it: through the proxy."""
    name = f"faults-{uuid4().hex[:12]}"
    requests.put(f"{servers.s3_url}/{name}", timeout=20).raise_for_status()
    return {"S3_BUCKET": name, "S3_ENDPOINT_URL": proxy.url}


def our_settings(environment: dict[str, str], servers: Servers) -> Settings:
    """The workers' settings, but for the bucket: an audit looks past the proxy."""
    ours = {n.lower(): v for n, v in environment.items() if not n.startswith("AWS_")}
    if "s3_bucket" in ours:
        ours["s3_endpoint_url"] = servers.s3_url
    return Settings(_env_file=None, **ours)  # type: ignore[arg-type]
