"""What happens to training jobs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0010'
down_revision = '0009'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('training_jobs', sa.Column('error_code', sa.String(length=64), nullable=True))
    op.add_column(
        'training_jobs',
        sa.Column('pause_requested', sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.create_table(
        'training_events',
        sa.Column(
            'id',
            sa.BigInteger().with_variant(sa.Integer(), 'sqlite'),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column('job', sa.String(length=32), nullable=False),
        sa.Column('attempt', sa.Integer(), nullable=False),
        sa.Column('number', sa.Integer(), nullable=False),
        sa.Column('at', sa.Double(), nullable=False),
        sa.Column('level', sa.String(length=8), nullable=False),
        sa.Column('message', sa.Text(), nullable=False),
        sa.Column('data', sa.JSON(none_as_null=True), nullable=True),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_training_events')),
    )
    op.create_index(
        op.f('ix_training_events_job_attempt_number'),
        'training_events',
        ['job', 'attempt', 'number'],
        unique=True,
    )


def downgrade() -> None:
    op.drop_table('training_events')
    op.drop_column('training_jobs', 'pause_requested')
    op.drop_column('training_jobs', 'error_code')
