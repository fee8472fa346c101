"""How well answers are supported by what they cite."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0013'
down_revision = '0012'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('ledger', sa.Column('support', sa.Double(), nullable=True))


def downgrade() -> None:
    op.drop_column('ledger', 'support')
