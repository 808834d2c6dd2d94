"""The table of what stops everything at once."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from jobs.models import UtcTime


class Brake(SQLModel, table=True):
    """While this row is there, nothing new is paid by anybody."""

    id: str = Field(primary_key=True)
    paused_at: datetime = Field(sa_type=UtcTime)
