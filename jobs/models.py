"""The tables. Only `jobs/queue` changes a job's state; credits are in thousandths."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    Dialect,
    Index,
    Integer,
    String,
    Table,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel
from ulid import ULID

from jobs.states import FINAL, JobState

DEFAULT_PROJECT = "default"

#: From this priority on somebody waits for the job: it has a share of the rate to itself.
INTERACTIVE = 10

#: `lease_owner` of a job that is on its way through Celery and that no worker has taken yet.
DISPATCHED = "dispatched"
#: `lease_owner` of a job whose worker lives, but does not know how far the job came.
ABANDONED = "abandoned"


class UtcTime(TypeDecorator[datetime]):
    """An aware time in UTC; SQLite, which knows no zones, keeps it as text that sorts."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give SQLite's times their zone back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


Json = JSON().with_variant(JSONB(), "postgresql")
Big = BigInteger().with_variant(Integer(), "sqlite")


def new_id() -> str:
    """26 characters that sort by time."""
    return str(ULID()).lower()


def in_list(states: frozenset[JobState]) -> str:
    """The states as SQL's list."""
    return ", ".join(f"'{state}'" for state in sorted(states))


class Project(SQLModel, table=True):
    """A tenant."""

    id: str = Field(primary_key=True)
    created_at: datetime = Field(sa_type=UtcTime)
    #: Jobs started in its turn, where another project starts one.
    weight: int = 1
    #: Jobs under way at once, from their dispatch to their output; NULL is no bound.
    max_in_flight: int | None = None
    #: Nothing new is paid; what was paid goes on. The same in a batch and a credential.
    paused_at: datetime | None = Field(default=None, sa_type=UtcTime)


class Credential(SQLModel, table=True):
    """One Stability key: its id is a fingerprint."""

    id: str = Field(primary_key=True)
    name: str
    created_at: datetime = Field(sa_type=UtcTime)
    #: The key itself, encrypted, where it does not come from the settings.
    sealed_key: str | None = None
    #: The API refused the key (401), or has no funds left for it (402), or a person stopped it.
    stopped_at: datetime | None = Field(default=None, sa_type=UtcTime)
    stop_reason: str | None = None
    checked_at: datetime | None = Field(default=None, sa_type=UtcTime)
    balance_milli: int | None = Field(default=None, sa_type=Big)
    paused_at: datetime | None = Field(default=None, sa_type=UtcTime)


class Asset(SQLModel, table=True):
    """An uploaded input, kept once for each content."""

    __table_args__ = (UniqueConstraint("project_id", "sha256"),)

    id: str = Field(primary_key=True)
    project_id: str
    sha256: str
    key: str
    content_type: str
    bytes: int
    width: int | None = None
    height: int | None = None
    created_at: datetime = Field(sa_type=UtcTime)


class Batch(SQLModel, table=True):
    """Many jobs with one progress, budget and export."""

    __table_args__ = (
        UniqueConstraint("project_id", "name"),
        Index(
            "batch_fronted",
            "project_id",
            "fronted_at",
            postgresql_where=text("fronted_at IS NOT NULL"),
            sqlite_where=text("fronted_at IS NOT NULL"),
        ),
        Index(
            "batch_unfinished",
            "id",
            postgresql_where=text("bulk_verb IS NOT NULL"),
            sqlite_where=text("bulk_verb IS NOT NULL"),
        ),
    )

    id: str = Field(primary_key=True)
    project_id: str
    name: str
    #: Of the manifest and the options: the same again is a resume.
    fingerprint: str
    about: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    priority: int = 0
    on_uncertain: str
    size: int
    budget_milli: int | None = Field(default=None, sa_type=Big)
    #: What the jobs that may still be paid, or were, can cost; never above the budget.
    reserved_milli: int = Field(default=0, sa_type=Big)
    paused_at: datetime | None = Field(default=None, sa_type=UtcTime)
    canceled_at: datetime | None = Field(default=None, sa_type=UtcTime)
    #: All rows are in.
    loaded_at: datetime | None = Field(default=None, sa_type=UtcTime)
    #: As in a project: jobs started in its turn among the project's batches, and under way at once.
    weight: int = 1
    max_in_flight: int | None = None
    #: Moved to the front of its project; the latest comes first.
    fronted_at: datetime | None = Field(default=None, sa_type=UtcTime)
    #: Who is to be told of its end.
    webhook_url: str | None = None
    #: Its end was told; NULL again when one of its jobs is opened again.
    told_at: datetime | None = Field(default=None, sa_type=UtcTime)
    #: What was begun for all of its jobs and is not over: start, cancel, retry or prioritize.
    bulk_verb: str | None = None
    bulk_since: datetime | None = Field(default=None, sa_type=UtcTime)
    #: The last job that it came to, where the jobs themselves do not tell.
    bulk_after: str | None = None
    created_at: datetime = Field(sa_type=UtcTime)


class Job(SQLModel, table=True):
    """One paid call and its outputs."""

    __table_args__ = (
        UniqueConstraint("batch_id", "row"),
        CheckConstraint(
            f"(finished_at IS NOT NULL) = (state IN ({in_list(FINAL)}))", name="final_has_an_end"
        ),
        CheckConstraint("(lease_owner IS NULL) = (lease_until IS NULL)", name="lease_is_whole"),
        CheckConstraint("lease_owner IS NULL OR due_at IS NULL", name="due_or_leased"),
        # The dispatcher's two questions, and the rescuer's: each reads only live rows.
        Index(
            "job_to_start",
            text("priority DESC"),
            "project_id",
            "batch_key",
            "due_at",
            "id",
            postgresql_where=text("due_at IS NOT NULL AND state = 'queued'"),
            sqlite_where=text("due_at IS NOT NULL AND state = 'queued'"),
        ),
        Index(
            "job_to_go_on",
            text("coalesce(accepted_at, due_at)"),
            "due_at",
            postgresql_where=text("due_at IS NOT NULL AND state <> 'queued'"),
            sqlite_where=text("due_at IS NOT NULL AND state <> 'queued'"),
        ),
        Index(
            "job_leased",
            "lease_owner",
            "lease_until",
            postgresql_where=text("lease_until IS NOT NULL"),
            sqlite_where=text("lease_until IS NOT NULL"),
        ),
        Index(
            "job_held",
            "held_for",
            "id",
            postgresql_where=text("state = 'held'"),
            sqlite_where=text("state = 'held'"),
        ),
        Index(
            "job_expiring",
            "expires_at",
            postgresql_where=text("expires_at IS NOT NULL AND state = 'queued'"),
            sqlite_where=text("expires_at IS NOT NULL AND state = 'queued'"),
        ),
        Index(
            "job_fronted",
            "priority",
            "project_id",
            "fronted_at",
            postgresql_where=text("fronted_at IS NOT NULL AND due_at IS NOT NULL"),
            sqlite_where=text("fronted_at IS NOT NULL AND due_at IS NOT NULL"),
        ),
        Index("job_by_project", "project_id", "id"),
        Index("job_by_batch", "batch_id", "id"),
        Index("job_by_batch_state", "batch_id", "state", "id"),
    )

    id: str = Field(primary_key=True)
    project_id: str
    batch_id: str | None = None
    #: The batch, or nothing in a form that can be compared; the database fills it in.
    batch_key: str | None = Field(
        default=None, sa_column=Column(String, Computed("coalesce(batch_id, '')", persisted=True))
    )
    row: int | None = None
    name: str | None = None
    operation: str
    params: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    inputs: dict[str, str] = Field(default_factory=dict, sa_type=Json)
    labels: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    #: Higher is sooner.
    priority: int = 0
    #: Moved to the front of its project; the latest comes first.
    fronted_at: datetime | None = Field(default=None, sa_type=UtcTime)
    on_uncertain: str
    state: str
    #: Why it is held: uncertain, budget, funds or credential.
    held_for: str | None = None
    #: When the dispatcher may send it; NULL while somebody holds the lease, and in the end.
    due_at: datetime | None = Field(default=None, sa_type=UtcTime)
    lease_owner: str | None = None
    lease_until: datetime | None = Field(default=None, sa_type=UtcTime)
    #: Grows whenever the lease changes hands, so that a late writer is recognised.
    fence: int = 0
    #: Paid calls begun.
    attempts: int = 0
    #: Of these, the ones that the API refused without a charge and that count against the most.
    refusals: int = 0
    #: Resubmissions after an uncertain attempt.
    resubmits: int = 0
    #: Workers that died while they polled or stored it.
    crashes: int = 0
    #: The attempt that the job lives by now.
    attempt_id: str | None = None
    attempt_number: int | None = None
    credential_id: str | None = None
    result_id: str | None = None
    accepted_at: datetime | None = Field(default=None, sa_type=UtcTime)
    polls: int = 0
    polled_at: datetime | None = Field(default=None, sa_type=UtcTime)
    seed: int | None = Field(default=None, sa_type=Big)
    finish_reason: str | None = None
    estimated_milli: int = 0
    charged_milli: int = 0
    error: dict[str, Any] | None = Field(default=None, sa_type=JSON(none_as_null=True))
    #: Not to be started before.
    run_at: datetime | None = Field(default=None, sa_type=UtcTime)
    expires_at: datetime | None = Field(default=None, sa_type=UtcTime)
    #: Others wait for its end.
    awaited_at: datetime | None = Field(default=None, sa_type=UtcTime)
    created_at: datetime = Field(sa_type=UtcTime)
    #: The first paid call with these parameters; what an earlier one brings is not what is wanted.
    started_at: datetime | None = Field(default=None, sa_type=UtcTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcTime)
    #: Who else is to be told of it, besides the project's own endpoints.
    webhook_url: str | None = None


class Attempt(SQLModel, table=True):
    """One try at the paid call. Facts are added, by whoever learns them, and never removed."""

    __table_args__ = (
        UniqueConstraint("job_id", "number"),
        Index("attempt_begun", "begun_at"),
        Index(
            "attempt_uncertain",
            "uncertain_at",
            postgresql_where=text("uncertain_at IS NOT NULL"),
            sqlite_where=text("uncertain_at IS NOT NULL"),
        ),
    )

    id: str = Field(primary_key=True)
    job_id: str = Field(foreign_key="job.id")
    number: int
    credential_id: str
    owner: str
    #: The intent: committed before the first byte is sent.
    begun_at: datetime = Field(sa_type=UtcTime)
    #: A result id came.
    accepted_at: datetime | None = Field(default=None, sa_type=UtcTime)
    #: The bytes came.
    received_at: datetime | None = Field(default=None, sa_type=UtcTime)
    #: The API said no, or the request never left: nothing was paid.
    refused_at: datetime | None = Field(default=None, sa_type=UtcTime)
    #: The answer was lost: it may have been paid.
    uncertain_at: datetime | None = Field(default=None, sa_type=UtcTime)
    #: What was accepted can no longer be fetched.
    expired_at: datetime | None = Field(default=None, sa_type=UtcTime)
    result_id: str | None = None
    note: str | None = None


class Output(SQLModel, table=True):
    """A file that a job made, and where it lies."""

    job_id: str = Field(primary_key=True, foreign_key="job.id")
    number: int = Field(primary_key=True)
    attempt_id: str
    key: str
    content_type: str
    bytes: int
    sha256: str
    width: int | None = None
    height: int | None = None
    seed: int | None = Field(default=None, sa_type=Big)
    finish_reason: str | None = None


class Event(SQLModel, table=True):
    """One change of one job, written with it. Counters are made from these rows."""

    __table_args__ = (
        Index("event_by_job", "job_id", "id"),
        Index(
            "event_untallied",
            "id",
            postgresql_where=text("NOT tallied"),
            sqlite_where=text("NOT tallied"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=Big)
    job_id: str
    project_id: str
    batch_id: str | None = None
    at: datetime = Field(sa_type=UtcTime)
    verb: str
    origin: str | None = None
    target: str
    #: What this change added to the credits spent.
    charged_milli: int = 0
    note: str | None = None
    #: Already counted in `tally`.
    tallied: bool = False


class Tally(SQLModel, table=True):
    """How many jobs are in a state, and what they cost: the sum of the tallied events."""

    project_id: str = Field(primary_key=True)
    #: Empty for jobs without a batch.
    batch_id: str = Field(primary_key=True)
    state: str = Field(primary_key=True)
    jobs: int = Field(default=0, sa_type=Big)
    charged_milli: int = Field(default=0, sa_type=Big)


class Duration(SQLModel, table=True):
    """How long an operation's results take, as far as polls have shown."""

    operation: str = Field(primary_key=True)
    histogram: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    updated_at: datetime = Field(sa_type=UtcTime)


def table(model: type[SQLModel]) -> Table:
    """The Core table of a model, for statements on the hot path."""
    found: Table = model.__table__  # type: ignore[attr-defined]
    return found
