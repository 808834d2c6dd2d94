"""Weights, caps and brakes."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)

COLUMNS: dict[str, list[tuple[str, Any]]] = {
    "project": [("max_in_flight", sa.Integer()), ("paused_at", TIME)],
    "credential": [("paused_at", TIME)],
    "batch": [
        ("max_in_flight", sa.Integer()),
        ("fronted_at", TIME),
        ("bulk_verb", sa.String()),
        ("bulk_since", TIME),
        ("bulk_after", sa.String()),
    ],
    "job": [("fronted_at", TIME)],
}
WEIGHED = ("project", "batch")
#: Index, table, columns, and which rows it has.
PARTIAL = [
    ("batch_fronted", "batch", ["project_id", "fronted_at"], "fronted_at IS NOT NULL"),
    ("batch_unfinished", "batch", ["id"], "bulk_verb IS NOT NULL"),
    (
        "job_fronted",
        "job",
        ["priority", "project_id", "fronted_at"],
        "fronted_at IS NOT NULL AND due_at IS NOT NULL",
    ),
]


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "brake",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("paused_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    for table in WEIGHED:
        op.add_column(table, sa.Column("weight", sa.Integer(), nullable=False, server_default="1"))
    for table, columns in COLUMNS.items():
        for name, kind in columns:
            op.add_column(table, sa.Column(name, kind, nullable=True))
    for name, table, keys, rows in PARTIAL:
        where = sa.text(rows)
        op.create_index(name, table, keys, postgresql_where=where, sqlite_where=where)
    op.create_index("job_by_batch", "job", ["batch_id", "id"])
    op.drop_index("job_by_batch_state", table_name="job")
    op.create_index("job_by_batch_state", "job", ["batch_id", "state", "id"])


def downgrade() -> None:
    """Drop them."""
    op.drop_index("job_by_batch_state", table_name="job")
    op.create_index("job_by_batch_state", "job", ["batch_id", "state"])
    op.drop_index("job_by_batch", table_name="job")
    for name, table, _, _ in PARTIAL:
        op.drop_index(name, table_name=table)
    for table, columns in COLUMNS.items():
        for name, _ in columns:
            op.drop_column(table, name)
    for table in WEIGHED:
        op.drop_column(table, "weight")
    op.drop_table("brake")
