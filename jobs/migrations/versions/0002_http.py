"""The tables and indexes of the HTTP interface."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "apikey",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("secret_sha256", sa.String(), nullable=False),
        sa.Column("scopes", JSON, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=True),
        sa.Column("revoked_at", TIME, nullable=True),
        sa.Column("last_used_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("apikey_by_project", "apikey", ["project_id", "id"])
    op.create_table(
        "promise",
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("job_id", sa.String(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("project_id", "key"),
    )
    op.create_index("promise_by_age", "promise", ["created_at"])
    op.create_index("job_by_project_state", "job", ["project_id", "state", "id"])


def downgrade() -> None:
    """Drop them."""
    op.drop_index("job_by_project_state", table_name="job")
    op.drop_index("promise_by_age", table_name="promise")
    op.drop_table("promise")
    op.drop_index("apikey_by_project", table_name="apikey")
    op.drop_table("apikey")
