"""Endpoints that want to hear of jobs, and what is to be told to them."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from jobs.models import Big, Json, UtcTime


class Endpoint(SQLModel, table=True):
    """An address that is told of events. Secrets are derived, and stand nowhere."""

    __table_args__ = (UniqueConstraint("project_id", "url"),)

    id: str = Field(primary_key=True)
    project_id: str
    url: str
    #: The server in `url`: one that hangs does so for all of its addresses.
    host: str
    description: str = ""
    #: The types that it wants; empty means all.
    events: list[str] = Field(default_factory=list, sa_type=Json)
    #: Only jobs and batches that name the address are told to it.
    is_named: bool = False
    #: Grows with each rotation of its secret.
    generation: int = 0
    rotated_at: datetime | None = Field(default=None, sa_type=UtcTime)
    #: Of the signer whose secret its owner was shown.
    mark: str | None = None
    disabled_at: datetime | None = Field(default=None, sa_type=UtcTime)
    disabled_reason: str | None = None
    #: Since when nothing has arrived there.
    failing_since: datetime | None = Field(default=None, sa_type=UtcTime)
    created_at: datetime = Field(sa_type=UtcTime)


class WebhookSecret(SQLModel, table=True):
    """Which secret signs what is told to addresses that a project's jobs and batches name."""

    __tablename__ = "webhook_secret"

    project_id: str = Field(primary_key=True)
    #: The same as in an endpoint.
    generation: int = 0
    rotated_at: datetime | None = Field(default=None, sa_type=UtcTime)
    mark: str | None = None


class Delivery(SQLModel, table=True):
    """One message to one endpoint; it is tried until it arrives or is given up."""

    __table_args__ = (
        UniqueConstraint("endpoint_id", "type", "subject_id", "event_id"),
        Index("delivery_by_endpoint", "endpoint_id", "id"),
        Index("delivery_by_age", "created_at"),
        Index(
            "delivery_due",
            "due_at",
            postgresql_where=text("ended_at IS NULL"),
            sqlite_where=text("ended_at IS NULL"),
        ),
    )

    id: str = Field(primary_key=True)
    project_id: str
    endpoint_id: str = Field(foreign_key="endpoint.id")
    type: str
    #: The job or the batch.
    subject_id: str
    #: The change of which it tells; of a batch, one with which it was over.
    event_id: int = Field(sa_type=Big)
    payload: dict[str, Any] = Field(sa_type=Json)
    due_at: datetime = Field(sa_type=UtcTime)
    tries: int = 0
    last_status: int | None = None
    last_error: str | None = None
    #: The start of the last answer.
    last_answer: str | None = None
    created_at: datetime = Field(sa_type=UtcTime)
    delivered_at: datetime | None = Field(default=None, sa_type=UtcTime)
    #: It has arrived, or is tried no more.
    ended_at: datetime | None = Field(default=None, sa_type=UtcTime)
