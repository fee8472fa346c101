"""Training jobs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('training_jobs',
    sa.Column('id', sa.String(length=32), nullable=False),
    sa.Column('tenant', sa.String(length=63), nullable=False),
    sa.Column('status', sa.String(length=16), nullable=False),
    sa.Column('spec', sa.JSON(), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('created_by', sa.String(length=32), nullable=False),
    sa.Column('finished_at', sa.BigInteger(), nullable=True),
    sa.Column('worker', sa.String(length=63), nullable=True),
    sa.Column('lease_until', sa.Double(), nullable=False),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('progress', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('adapter_version', sa.String(length=80), nullable=True),
    sa.Column('error', sa.Text(), nullable=True),
    sa.Column('cancel_requested', sa.Boolean(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_training_jobs'))
    )
    op.create_index(
        op.f('ix_training_jobs_status'), 'training_jobs', ['status'], unique=False
    )
    op.create_index(
        op.f('ix_training_jobs_tenant_created_at'), 'training_jobs', ['tenant', 'created_at'],
        unique=False,
    )


def downgrade() -> None:
    op.drop_table('training_jobs')
