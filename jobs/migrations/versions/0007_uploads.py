"""Uploads that are under way, and what was fetched."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "upload",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("filename", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("content_type", sa.String(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("ticket_sha256", sa.String(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("asset_id", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("upload_by_age", "upload", ["created_at"])
    op.create_table(
        "fetch",
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("address_sha256", sa.String(), nullable=False),
        sa.Column("asset_id", sa.String(), nullable=False),
        sa.Column("fetched_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("project_id", "address_sha256"),
    )
    op.create_index("fetch_by_age", "fetch", ["fetched_at"])


def downgrade() -> None:
    """Drop them."""
    op.drop_index("fetch_by_age", table_name="fetch")
    op.drop_table("fetch")
    op.drop_index("upload_by_age", table_name="upload")
    op.drop_table("upload")
