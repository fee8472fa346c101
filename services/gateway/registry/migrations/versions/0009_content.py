"""The texts of answered requests, where a tenant wants them kept."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0009'
down_revision = '0008'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        'content',
        sa.Column('tenant', sa.String(length=63), nullable=False),
        sa.Column('id', sa.String(length=32), nullable=False),
        sa.Column('request_id', sa.String(length=128), nullable=False),
        sa.Column('end_user', sa.String(length=64), nullable=True),
        sa.Column('assistant', sa.String(length=63), nullable=False),
        sa.Column('release', sa.String(length=80), nullable=False),
        sa.Column('arm', sa.String(length=16), nullable=False),
        sa.Column('at', sa.Double(), nullable=False),
        sa.Column('expires_at', sa.Double(), nullable=False),
        sa.Column('question', sa.Text(), nullable=False),
        sa.Column('passages', sa.JSON(), nullable=False),
        sa.Column('answer', sa.Text(), nullable=False),
        sa.Column('shadow_release', sa.String(length=80), nullable=True),
        sa.Column('shadow_answer', sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint('tenant', 'id', name=op.f('pk_content')),
    )
    for columns in (['tenant', 'at'], ['tenant', 'request_id'], ['tenant', 'end_user']):
        op.create_index(op.f(f'ix_content_{"_".join(columns)}'), 'content', columns, unique=False)
    op.create_index(op.f('ix_content_expires_at'), 'content', ['expires_at'], unique=False)


def downgrade() -> None:
    op.drop_table('content')
