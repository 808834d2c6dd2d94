"""What the interface answers about flows and schedules: the forms that its documents show."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from api.answers import JobAnswer


class FlowAnswer(BaseModel):
    """Jobs that use each other's outputs."""

    id: str
    name: str | None
    counts: dict[str, int] = Field(description="Jobs by state.")
    steps: dict[str, JobAnswer] = Field(description="Each behind those that it needs.")
    needs: dict[str, list[str]] = Field(description="The steps that each step waits for.")
    created_at: datetime


class FlowPage(BaseModel):
    """Some flows, the newest first."""

    items: list[FlowAnswer]
    next_cursor: str | None


class FiringAnswer(BaseModel):
    """One run of a schedule."""

    due_at: datetime = Field(description="The time that it was meant for.")
    fired_at: datetime
    cause: str = Field(description="clock, catch_up or hand.")
    skipped_because: str | None
    job_id: str | None
    batch_id: str | None


class ScheduleAnswer(BaseModel):
    """A job or a batch that is submitted by a clock."""

    id: str
    name: str | None
    cron: str
    timezone: str
    overlap: str
    enabled: bool
    start_at: datetime | None
    end_at: datetime | None
    next_run_at: datetime | None = Field(description="null while paused, and when none is left.")
    template: dict[str, Any]
    runs: list[FiringAnswer] = Field(description="The last ones, the newest first.")
    created_at: datetime


class SchedulePage(BaseModel):
    """Some schedules, the newest first."""

    items: list[ScheduleAnswer]
    next_cursor: str | None
