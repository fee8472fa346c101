"""What trainings leave behind: checkpoints, files of losses, and the comparison with before."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0012'
down_revision = '0011'
branch_labels = None
depends_on = None

JOB_COLUMNS = ('checkpoints', 'result_files', 'evaluation')


def upgrade() -> None:
    for name in JOB_COLUMNS:
        op.add_column('training_jobs', sa.Column(name, sa.JSON(none_as_null=True), nullable=True))
    op.add_column('evaluations', sa.Column('job', sa.String(length=32), nullable=True))
    with op.batch_alter_table('files') as files:
        files.alter_column(
            'purpose', type_=sa.String(length=32), existing_type=sa.String(length=16)
        )


def downgrade() -> None:
    with op.batch_alter_table('files') as files:
        files.alter_column(
            'purpose', type_=sa.String(length=16), existing_type=sa.String(length=32)
        )
    op.drop_column('evaluations', 'job')
    for name in JOB_COLUMNS:
        op.drop_column('training_jobs', name)
