"""What jobs need of each other, flows, and schedules."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from jobs.models import Big, Job, Json, UtcTime, table

JOB = table(Job)


class Need(SQLModel, table=True):
    """A job is not to be started before another has succeeded."""

    __table_args__ = (
        Index(
            "need_unsettled",
            "needs_id",
            "job_id",
            postgresql_where=text("settled_at IS NULL"),
            sqlite_where=text("settled_at IS NULL"),
        ),
    )

    job_id: str = Field(primary_key=True, foreign_key="job.id")
    needs_id: str = Field(primary_key=True, foreign_key="job.id")
    #: The needed job has ended, well or not, and this one was told.
    settled_at: datetime | None = Field(default=None, sa_type=UtcTime)


class Wakeup(SQLModel, table=True):
    """A job that others have begun to need: somebody is to look whether it has ended already."""

    id: int | None = Field(default=None, primary_key=True, sa_type=Big)
    job_id: str = Field(foreign_key="job.id")


# What the waker asks: which jobs have ended that others wait for.
Index(
    "job_awaited",
    JOB.c.awaited_at,
    postgresql_where=text("awaited_at IS NOT NULL AND finished_at IS NOT NULL"),
    sqlite_where=text("awaited_at IS NOT NULL AND finished_at IS NOT NULL"),
)


class Flow(SQLModel, table=True):
    """Jobs that use each other's outputs, under one name."""

    __table_args__ = (Index("flow_by_project", "project_id", "id"),)

    id: str = Field(primary_key=True)
    project_id: str
    name: str | None = None
    created_at: datetime = Field(sa_type=UtcTime)


class FlowStep(SQLModel, table=True):
    """A job of a flow, by the name that the flow gives it."""

    flow_id: str = Field(primary_key=True, foreign_key="flow.id")
    name: str = Field(primary_key=True)
    #: In the order of the flow.
    place: int
    job_id: str = Field(foreign_key="job.id")


class Schedule(SQLModel, table=True):
    """A job or a batch that is submitted by a clock."""

    __table_args__ = (
        Index("schedule_by_project", "project_id", "id"),
        Index(
            "schedule_due",
            "next_run_at",
            postgresql_where=text("next_run_at IS NOT NULL"),
            sqlite_where=text("next_run_at IS NOT NULL"),
        ),
    )

    id: str = Field(primary_key=True)
    project_id: str
    name: str | None = None
    cron: str
    timezone: str
    #: What happens when the last run is not over: skip, queue or replace.
    overlap: str
    #: As it was asked for.
    template: dict[str, Any] = Field(sa_type=Json)
    #: The same checked, as the jobs that each run lets in.
    plan: dict[str, Any] = Field(sa_type=Json)
    start_at: datetime | None = Field(default=None, sa_type=UtcTime)
    end_at: datetime | None = Field(default=None, sa_type=UtcTime)
    paused_at: datetime | None = Field(default=None, sa_type=UtcTime)
    deleted_at: datetime | None = Field(default=None, sa_type=UtcTime)
    #: NULL while it is paused, and when no time is left.
    next_run_at: datetime | None = Field(default=None, sa_type=UtcTime)
    created_at: datetime = Field(sa_type=UtcTime)


class Firing(SQLModel, table=True):
    """One run of a schedule, written with the jobs that it let in, or with why it let in none."""

    schedule_id: str = Field(primary_key=True, foreign_key="schedule.id")
    #: The time that it was meant for: no time is fired twice.
    due_at: datetime = Field(primary_key=True, sa_type=UtcTime)
    fired_at: datetime = Field(sa_type=UtcTime)
    #: The clock, a catch-up after a pause of the beat, or a hand.
    cause: str
    #: NULL unless it was skipped.
    skipped_because: str | None = None
    job_id: str | None = Field(default=None, foreign_key="job.id")
    batch_id: str | None = Field(default=None, foreign_key="batch.id")
