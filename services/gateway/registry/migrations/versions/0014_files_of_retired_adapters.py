"""When an adapter version was retired, and whether its files are still there."""

from __future__ import annotations

import time

import sqlalchemy as sa
from alembic import op

revision = '0014'
down_revision = '0013'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('adapters', sa.Column('retired_at', sa.BigInteger(), nullable=True))
    files = sa.Column('files', sa.String(length=16), nullable=False, server_default='kept')
    op.add_column('adapters', files)
    # Nobody knows when these were retired: they are kept as long as if it had been now.
    retired = sa.text("UPDATE adapters SET retired_at = :now WHERE state = 'retired'")
    op.get_bind().execute(retired, {'now': int(time.time())})


def downgrade() -> None:
    op.drop_column('adapters', 'files')
    op.drop_column('adapters', 'retired_at')
