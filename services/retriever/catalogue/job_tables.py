"""The catalogue's tables of ingestion jobs, and of the files that documents come from."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Float, ForeignKey, Index, Integer, String, Table

from services.retriever.catalogue.tables import metadata

jobs = Table(
    "jobs",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("tenant", String, nullable=False),
    Column("collection", String, nullable=False),
    Column("source", String),
    Column("metadata", JSON, nullable=False),
    Column("allowed_groups", JSON, nullable=False),
    Column("status", String, nullable=False),
    Column("created_at", Integer, nullable=False),
    Column("finished_at", Integer),
    Column("files_until", Float, nullable=False),
    Column("worker", String),
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
    Column("job", Integer, ForeignKey("jobs.number", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("document_id", String, nullable=False),
    Column("uri", String, nullable=False),
    Column("removes", Integer, nullable=False),
    Column("sha256", String, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("segment", String),
    Column("offset", Integer, nullable=False, default=0),
    Column("chunks", Integer, nullable=False, default=0),
    Column("code", String),
    Column("message", String),
)
"""Files of jobs and documents that jobs remove; `segment` and `offset` say where the bytes are."""

Index("job_items_by_state", job_items.c.job, job_items.c.state, job_items.c.number)
Index("job_items_by_document", job_items.c.job, job_items.c.document_id)

origins = Table(
    "origins",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("collection", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("source", String),
    Column("file_hash", String, nullable=False),
    Column("revision", Integer, nullable=False),
)
"""The file that a document was read from, as long as `revision` is the document's live one."""

Index("origins_by_source", origins.c.tenant, origins.c.collection, origins.c.source)
