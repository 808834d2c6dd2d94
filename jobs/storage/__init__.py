"""The bucket: S3, or a folder."""

from jobs.settings import Settings
from jobs.storage.folder import FolderStorage
from jobs.storage.protocol import Storage, StoredObject

__all__ = ["Storage", "StoredObject", "open_storage"]


def open_storage(settings: Settings) -> Storage:
    """The storage that the settings name; nothing is written or asked before it is used."""
    if settings.s3_bucket is None:
        return FolderStorage(settings.home / "bucket")
    # boto3 takes half a second to import, and whoever has no bucket needs none of it.
    from jobs.storage.s3 import S3Storage

    return S3Storage(
        settings.s3_bucket,
        prefix=settings.s3_prefix,
        endpoint_url=settings.s3_endpoint_url,
        connections=settings.darkroom_worker_threads,
    )
