"""What callers say of webhooks, and how one is shown."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from sqlalchemy import Row

from api.bodies import Body, Moment, WebhookUrl, storable_text
from jobs.public import when
from jobs.webhooks.endpoints import TYPES

Type = Literal[
    "job.succeeded",
    "job.filtered",
    "job.failed",
    "job.canceled",
    "job.skipped",
    "job.held",
    "job.uncertain",
    "batch.finished",
]
Description = Annotated[str, AfterValidator(storable_text), Field(max_length=200)]
Types = Annotated[list[Type], Field(max_length=len(TYPES))]


class WebhookBody(Body):
    """An address that is to be told."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"url": "https://shop.example/darkroom", "events": ["job.failed"]}]
        }
    )

    url: WebhookUrl
    events: Types = Field(default=[], description="None: all of them.")
    description: Description = ""


class WebhookChange(Body):
    """What is to be changed."""

    events: Types | None = None
    description: Description | None = None
    enabled: bool | None = Field(default=None, description="Pauses, or begins again.")


class ReplayBody(Body):
    """What is to be told again."""

    since: Moment = Field(description="Of what was given up, all that was made since then.")


class WebhookAnswer(BaseModel):
    """An endpoint."""

    id: str
    url: str
    events: list[str]
    description: str
    named_only: bool = Field(description="Only jobs that name the address are told to it.")
    enabled: bool
    disabled_reason: str | None
    failing_since: datetime | None
    rotated_at: datetime | None
    created_at: datetime


class WebhookWithSecret(WebhookAnswer):
    """An endpoint and what its owner checks signatures with."""

    secret: str


class WebhookPage(BaseModel):
    """Some endpoints, the newest first."""

    items: list[WebhookAnswer]
    next_cursor: str | None


class DeliveryAnswer(BaseModel):
    """One message and what became of it."""

    id: str
    webhook_id: str
    type: str
    subject_id: str
    state: Literal["waiting", "delivered", "failed"]
    tries: int
    last_status: int | None
    last_error: str | None
    last_answer: str | None
    next_try_at: datetime | None
    created_at: datetime
    delivered_at: datetime | None
    payload: dict[str, Any]


class DeliveryPage(BaseModel):
    """Some deliveries, the newest first."""

    items: list[DeliveryAnswer]
    next_cursor: str | None


class Replayed(BaseModel):
    """How many deliveries are tried again."""

    replayed: int


def webhook_public(row: Row[Any]) -> dict[str, Any]:
    """The public form of an endpoint."""
    return {
        "id": row.id,
        "url": row.url,
        "events": row.events,
        "description": row.description,
        "named_only": row.is_named,
        "enabled": row.disabled_at is None,
        "disabled_reason": row.disabled_reason,
        "failing_since": when(row.failing_since),
        "rotated_at": when(row.rotated_at),
        "created_at": when(row.created_at),
    }


def delivery_public(row: Row[Any]) -> dict[str, Any]:
    """The public form of a delivery."""
    state = "waiting" if row.ended_at is None else "delivered" if row.delivered_at else "failed"
    return {
        "id": row.id,
        "webhook_id": row.endpoint_id,
        "type": row.type,
        "subject_id": row.subject_id,
        "state": state,
        "tries": row.tries,
        "last_status": row.last_status,
        "last_error": row.last_error,
        "last_answer": row.last_answer,
        "next_try_at": when(row.due_at) if row.ended_at is None else None,
        "created_at": when(row.created_at),
        "delivered_at": when(row.delivered_at),
        "payload": row.payload,
    }
