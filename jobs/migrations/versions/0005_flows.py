"""What jobs need of each other, flows, and schedules."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

#: Index, table, columns, and which rows it has.
PARTIAL = [
    ("need_unsettled", "need", ["needs_id", "job_id"], "settled_at IS NULL"),
    ("job_awaited", "job", ["awaited_at"], "awaited_at IS NOT NULL AND finished_at IS NOT NULL"),
    ("schedule_due", "schedule", ["next_run_at"], "next_run_at IS NOT NULL"),
]


def upgrade() -> None:
    """Make them."""
    op.add_column("job", sa.Column("run_at", TIME, nullable=True))
    op.add_column("job", sa.Column("awaited_at", TIME, nullable=True))
    make_needs()
    make_flows()
    make_schedules()
    for name, table, keys, rows in PARTIAL:
        where = sa.text(rows)
        op.create_index(name, table, keys, postgresql_where=where, sqlite_where=where)


def make_needs() -> None:
    """What jobs need of each other."""
    op.create_table(
        "need",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("needs_id", sa.String(), nullable=False),
        sa.Column("settled_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"]),
        sa.ForeignKeyConstraint(["needs_id"], ["job.id"]),
        sa.PrimaryKeyConstraint("job_id", "needs_id"),
    )
    op.create_table(
        "wakeup",
        sa.Column("id", BIG, nullable=False),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"]),
        sa.PrimaryKeyConstraint("id"),
    )


def make_flows() -> None:
    """Flows and their steps."""
    op.create_table(
        "flow",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("flow_by_project", "flow", ["project_id", "id"])
    op.create_table(
        "flowstep",
        sa.Column("flow_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["flow_id"], ["flow.id"]),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"]),
        sa.PrimaryKeyConstraint("flow_id", "name"),
    )


def make_schedules() -> None:
    """Schedules and their runs."""
    op.create_table(
        "schedule",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("cron", sa.String(), nullable=False),
        sa.Column("timezone", sa.String(), nullable=False),
        sa.Column("overlap", sa.String(), nullable=False),
        sa.Column("template", JSON, nullable=False),
        sa.Column("plan", JSON, nullable=False),
        *(
            sa.Column(name, TIME, nullable=True)
            for name in ("start_at", "end_at", "paused_at", "deleted_at", "next_run_at")
        ),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("schedule_by_project", "schedule", ["project_id", "id"])
    op.create_table(
        "firing",
        sa.Column("schedule_id", sa.String(), nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("fired_at", TIME, nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("skipped_because", sa.String(), nullable=True),
        sa.Column("job_id", sa.String(), nullable=True),
        sa.Column("batch_id", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["schedule_id"], ["schedule.id"]),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"]),
        sa.ForeignKeyConstraint(["batch_id"], ["batch.id"]),
        sa.PrimaryKeyConstraint("schedule_id", "due_at"),
    )


def downgrade() -> None:
    """Drop them."""
    for name, table, _, _ in PARTIAL:
        op.drop_index(name, table_name=table)
    for table in ("firing", "schedule", "flowstep", "flow", "wakeup", "need"):
        op.drop_table(table)
    op.drop_column("job", "awaited_at")
    op.drop_column("job", "run_at")
