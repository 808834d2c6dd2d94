"""Inputs that are not there yet: uploads under way, and what was fetched from elsewhere."""

from datetime import datetime

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from jobs.models import UtcTime


class Upload(SQLModel, table=True):
    """A file that a caller has announced and sends past us; its id becomes the asset's."""

    __table_args__ = (Index("upload_by_age", "created_at"),)

    id: str = Field(primary_key=True)
    project_id: str
    filename: str
    sha256: str
    content_type: str
    bytes: int
    #: Of the address that takes the file, where the bucket has none of its own. Empty once its
    #: time is over and the bucket was cleared of what was sent.
    ticket_sha256: str
    created_at: datetime = Field(sa_type=UtcTime)
    #: Set when the file was found to be what was announced. It differs from the id where the same
    #: bytes had become an asset meanwhile.
    asset_id: str | None = None


class Fetch(SQLModel, table=True):
    """What an address led to when it was last fetched for a project."""

    __table_args__ = (Index("fetch_by_age", "fetched_at"),)

    project_id: str = Field(primary_key=True)
    #: The address may hold a signature, so only its hash is kept.
    address_sha256: str = Field(primary_key=True)
    asset_id: str
    fetched_at: datetime = Field(sa_type=UtcTime)
