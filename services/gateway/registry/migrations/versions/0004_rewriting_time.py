"""How long a request's question was being rewritten."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        'ledger', sa.Column('rewrite_ms', sa.Double(), nullable=False, server_default=sa.text('0'))
    )


def downgrade() -> None:
    op.drop_column('ledger', 'rewrite_ms')
