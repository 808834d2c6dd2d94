"""Inputs that lie elsewhere become assets: fetched once, checked as uploads are, and kept.

A job takes a copy that was fetched at most an hour before it was submitted, or at any time after:
so one address is fetched once for a batch, and never again for another try of the same job.
"""

import tempfile
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import BinaryIO, cast

from sqlalchemy import delete, select, update

from jobs.assets import add_image
from jobs.catalog.images import MAX_REQUEST_BYTES
from jobs.db import Database, ensure
from jobs.downloads import Limits, download
from jobs.errors import DownloadRefused
from jobs.guard import Guard, guard_of
from jobs.models import table
from jobs.models_inputs import Fetch
from jobs.references import BucketReference, Fetched, WebReference
from jobs.settings import Settings
from jobs.storage.protocol import Storage
from jobs.storage.source import SourceBuckets

FETCH = table(Fetch)

#: How old a copy may be when a job that uses it is submitted, and how long it is remembered.
FRESH = timedelta(hours=1)
MEMORY = timedelta(days=30)
LIMITS = Limits(most_bytes=MAX_REQUEST_BYTES)


@dataclass(frozen=True, kw_only=True)
class Fetcher:
    """Fetches inputs, and keeps them as assets; safe to share between threads."""

    database: Database
    storage: Storage
    guard: Guard
    sources: SourceBuckets
    buckets: frozenset[str]
    limits: Limits = LIMITS

    def known(self, project_id: str, reference: Fetched, submitted_at: datetime) -> str | None:
        """The asset that was fetched before for a job of this age, or None."""
        wanted = select(FETCH.c.asset_id).where(
            FETCH.c.project_id == project_id,
            FETCH.c.address_sha256 == digest(reference),
            FETCH.c.fetched_at >= submitted_at - FRESH,
        )
        with self.database.reading() as db:
            return db.execute(wanted).scalar()

    def fetch(self, project_id: str, reference: Fetched) -> str:
        """The id of the asset that it becomes.

        Raises AddressRefused, DownloadRefused, InvalidJob, Unreachable and StorageError.
        """
        with closing(cast(BinaryIO, tempfile.TemporaryFile())) as file:
            self._read(reference, file)
            asset_id = add_image(self.database, self.storage, project_id, file)
        self._remember(project_id, digest(reference), asset_id)
        return asset_id

    def _read(self, reference: Fetched, target: BinaryIO) -> None:
        match reference:
            case WebReference(address):
                download(self.guard, address, target, self.limits)
            case BucketReference(bucket, key):
                if bucket not in self.buckets:
                    raise DownloadRefused(f"{bucket} is not one of DARKROOM_INPUT_BUCKETS")
                self.sources.read(bucket, key, target, most_bytes=self.limits.most_bytes)

    def _remember(self, project_id: str, address_sha256: str, asset_id: str) -> None:
        told = {"asset_id": asset_id, "fetched_at": self.database.now()}
        keys = {"project_id": project_id, "address_sha256": address_sha256}
        with self.database.transaction() as db:
            if not ensure(db, FETCH, keys | told):
                db.execute(update(FETCH).filter_by(**keys).values(told))


def fetcher_of(settings: Settings, database: Database, storage: Storage) -> Fetcher:
    """The fetcher as the settings want it."""
    return Fetcher(
        database=database,
        storage=storage,
        guard=guard_of(settings),
        sources=SourceBuckets(endpoint_url=settings.s3_endpoint_url),
        buckets=settings.input_buckets,
    )


def digest(reference: Fetched) -> str:
    """What stands for the address."""
    return sha256(str(reference).encode()).hexdigest()


def forget_fetches(database: Database) -> int:
    """Forget what was fetched long ago; the assets stay."""
    old = delete(FETCH).where(FETCH.c.fetched_at < database.now() - MEMORY)
    with database.transaction() as db:
        return db.execute(old).rowcount
