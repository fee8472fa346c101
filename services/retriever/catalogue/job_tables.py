"""The catalogue's tables of ingestion jobs, and of the files that documents come from."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Float, ForeignKey, Index, Table

from services.retriever.catalogue.columns import Number, Words
from services.retriever.catalogue.tables import metadata

jobs = Table(
    "jobs",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("id", Words, nullable=False, unique=True),
    Column("tenant", Words, nullable=False),
    Column("collection", Words, nullable=False),
    Column("source", Words),
    Column("metadata", JSON, nullable=False),
    Column("allowed_groups", JSON, nullable=False),
    Column("status", Words, nullable=False),
    Column("created_at", Number, nullable=False),
    Column("finished_at", Number),
    Column("files_until", Float, nullable=False),
    Column("worker", Words),
    Column("lease_until", Float, nullable=False, default=0.0),
    Column("claimed_at", Float, nullable=False, default=0.0),
    Column("active_seconds", Float, nullable=False, default=0.0),
    sqlite_autoincrement=True,
)
"""Jobs; `worker` works on one until `lease_until`, and bytes are awaited until `files_until`."""

Index("jobs_by_tenant", jobs.c.tenant, jobs.c.number)

job_items = Table(
    "job_items",
    metadata,
    Column("job", Number, ForeignKey("jobs.number", ondelete="CASCADE"), primary_key=True),
    Column("number", Number, primary_key=True),
    Column("document_id", Words, nullable=False),
    Column("uri", Words, nullable=False),
    Column("removes", Number, nullable=False),
    Column("sha256", Words, nullable=False),
    Column("bytes", Number, nullable=False),
    Column("state", Words, nullable=False),
    Column("segment", Words),
    Column("offset", Number, nullable=False, default=0),
    Column("chunks", Number, nullable=False, default=0),
    Column("code", Words),
    Column("message", Words),
)
"""Files of jobs and documents that jobs remove; `segment` and `offset` say where the bytes are."""

Index("job_items_by_state", job_items.c.job, job_items.c.state, job_items.c.number)
Index("job_items_by_document", job_items.c.job, job_items.c.document_id)

origins = Table(
    "origins",
    metadata,
    Column("tenant", Words, primary_key=True),
    Column("collection", Words, primary_key=True),
    Column("id", Words, primary_key=True),
    Column("source", Words),
    Column("file_hash", Words, nullable=False),
    Column("revision", Number, nullable=False),
)
"""The file that a document was read from, as long as `revision` is the document's live one."""

Index("origins_by_source", origins.c.tenant, origins.c.collection, origins.c.source)
