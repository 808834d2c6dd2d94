"""What callers say of webhooks, and the form of the answers."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.bodies import Body, Moment, WebhookUrl, storable_text
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

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"events": ["job.failed"], "enabled": True}]}
    )

    events: Types | None = None
    description: Description | None = None
    enabled: bool | None = Field(default=None, description="Pauses, or begins again.")


class ReplayBody(Body):
    """What is to be told again."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"since": "2026-05-01T00:00:00Z"}]})

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


class WebhookSecretAnswer(BaseModel):
    """What receivers of a project's jobs check signatures with."""

    secret: str
    rotated_at: datetime | None


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
