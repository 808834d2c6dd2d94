"""What a key may ask for."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them."""
    op.add_column("apikey", sa.Column("limits", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Drop them."""
    op.drop_column("apikey", "limits")
