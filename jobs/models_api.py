"""The tables that only the HTTP interface needs, and the indexes that answer its questions."""

from datetime import datetime

from sqlalchemy import JSON, Index
from sqlmodel import Field, SQLModel

from jobs.models import Job, Json, UtcTime, table

JOB = table(Job)


class ApiKey(SQLModel, table=True):
    """A key of a project. Its secret is not here, only what proves it."""

    __table_args__ = (Index("apikey_by_project", "project_id", "id"),)

    id: str = Field(primary_key=True)
    project_id: str = Field(foreign_key="project.id")
    secret_sha256: str
    scopes: list[str] = Field(sa_type=Json)
    created_at: datetime = Field(sa_type=UtcTime)
    expires_at: datetime | None = Field(default=None, sa_type=UtcTime)
    #: By their names; a limit that is not named does not hold.
    limits: dict[str, int] | None = Field(default=None, sa_type=JSON(none_as_null=True))
    #: After a rotation it is still to come.
    revoked_at: datetime | None = Field(default=None, sa_type=UtcTime)
    #: Written once a minute at the most.
    last_used_at: datetime | None = Field(default=None, sa_type=UtcTime)


class Promise(SQLModel, table=True):
    """What an Idempotency-Key stands for: the job that the first request with it made."""

    __table_args__ = (Index("promise_by_age", "created_at"),)

    project_id: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    #: Of the request's body.
    fingerprint: str
    #: Or a flow's id; NULL only inside the transaction that makes it.
    job_id: str | None = None
    created_at: datetime = Field(sa_type=UtcTime)


Index("job_by_project_state", JOB.c.project_id, JOB.c.state, JOB.c.id)
