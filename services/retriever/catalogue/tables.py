"""The catalogue's tables, alike on SQLite and Postgres.

Both take the same `ON CONFLICT`; Postgres's `insert` is what SQLAlchemy writes correctly for both.
"""

from __future__ import annotations

from sqlalchemy import JSON, Column, Float, Index, MetaData, Table, UniqueConstraint

from services.retriever.catalogue.columns import Number, Words

metadata = MetaData()

tenants = Table(
    "tenants",
    metadata,
    Column("tenant", Words, primary_key=True),
    Column("corpus_revision", Number, nullable=False),
)
"""How often each tenant's documents have changed."""

collections = Table(
    "collections",
    metadata,
    Column("tenant", Words, primary_key=True),
    Column("name", Words, primary_key=True),
    Column("fingerprint", Words, nullable=False),
    Column("created_at", Number, nullable=False),
)
"""Collections, each with the embedding model that its vectors come from."""

documents = Table(
    "documents",
    metadata,
    Column("tenant", Words, primary_key=True),
    Column("collection", Words, primary_key=True),
    Column("id", Words, primary_key=True),
    Column("revision", Number, nullable=False, unique=True),
    Column("title", Words, nullable=False),
    Column("uri", Words, nullable=False),
    Column("metadata", JSON, nullable=False),
    Column("allowed_groups", JSON, nullable=False),
    Column("content_hash", Words, nullable=False),
    Column("chunks", Number, nullable=False),
    Column("characters", Number, nullable=False),
    Column("created_at", Number, nullable=False),
    Column("updated_at", Number, nullable=False),
)
"""Documents as searches see them; `revision` names the chunks that are live."""

writes = Table(
    "writes",
    metadata,
    Column("revision", Number, primary_key=True, autoincrement=True),
    Column("tenant", Words, nullable=False),
    Column("collection", Words, nullable=False),
    Column("id", Words, nullable=False),
    Column("title", Words, nullable=False),
    Column("uri", Words, nullable=False),
    Column("metadata", JSON, nullable=False),
    Column("allowed_groups", JSON, nullable=False),
    Column("content_hash", Words, nullable=False),
    Column("fingerprint", Words, nullable=False),
    Column("written_at", Number, nullable=False),
    Column("member", Words, nullable=False, server_default=""),
    UniqueConstraint("tenant", "collection", "id"),
    sqlite_autoincrement=True,
)
"""Revisions whose chunks are being made, each by a member; one that outlives it is done again."""

texts = Table(
    "texts",
    metadata,
    Column("revision", Number, primary_key=True, autoincrement=False),
    Column("text", Words, nullable=False),
    Column("pages", JSON, nullable=False),
)
"""The text of every live revision and of every write under way."""

leftovers = Table(
    "leftovers",
    metadata,
    Column("revision", Number, primary_key=True, autoincrement=False),
    Column("fingerprint", Words, nullable=False),
)
"""Revisions that nobody sees any more and whose chunks are still to be removed."""

Index("leftovers_by_fingerprint", leftovers.c.fingerprint)


generations = Table(
    "generations",
    metadata,
    Column("fingerprint", Words, primary_key=True),
    Column("serving", Number, nullable=False),
    Column("building", Number),
)
"""Which making of an embedding model's index serves, and which one is being made."""

carried = Table(
    "carried",
    metadata,
    Column("fingerprint", Words, primary_key=True),
    Column("revision", Number, primary_key=True, autoincrement=False),
    Column("chunks", Number, nullable=False),
)
"""Live revisions of another model's collections that a new model's index holds already."""

rewritings = Table(
    "rewritings",
    metadata,
    Column("fingerprint", Words, primary_key=True),
    Column("up_to", Number, nullable=False),
    Column("of", Number, nullable=False),
    Column("failed", Number, nullable=False),
    Column("started_at", Number, nullable=False),
    Column("finished_at", Number),
)
"""The last time that each embedding model's documents were to be written anew, up to a revision."""

installations = Table(
    "installations",
    metadata,
    Column("id", Number, primary_key=True),
    Column("name", Words, nullable=False),
)
"""One row: the random name of this catalogue, so that two never share a server's collection."""

members = Table(
    "members",
    metadata,
    Column("name", Words, primary_key=True),
    Column("models", JSON, nullable=False),
    Column("joined_at", Float, nullable=False),
    Column("alive_until", Float, nullable=False),
)
"""Processes that work on this catalogue, with the embedding models that they run."""
