"""What the catalogue says of ingestion jobs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row

from services.contracts.ingestion import (
    Ingestion,
    IngestionItem,
    IngestionOptions,
    IngestionProgress,
    ItemState,
)
from services.retriever.parsing.outcomes import READER


@dataclass(frozen=True, slots=True)
class NewItem:
    """One file of a job that is taken in, or one document that it removes."""

    document_id: str
    state: ItemState
    uri: str = ""
    sha256: str = ""
    bytes: int = 0
    segment: str | None = None
    offset: int = 0
    removes: bool = False
    code: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job that is taken in."""

    tenant: str
    collection: str
    options: IngestionOptions
    items: Sequence[NewItem]
    files_until: float
    """Seconds since the epoch until which bytes are awaited."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that a worker may work on while its lease lasts."""

    job: int
    id: str
    worker: str
    tenant: str
    collection: str
    source: str | None
    metadata: dict[str, Any]
    allowed_groups: list[str]

    def file_hash(self, item: Item) -> str:
        """Hash what this job would make a document of."""
        return file_hash(item.sha256, item.uri, self.metadata, self.allowed_groups)


@dataclass(frozen=True, slots=True)
class Item:
    """A file whose turn has come, or a document that is to be removed."""

    number: int
    document_id: str
    uri: str
    sha256: str
    bytes: int
    segment: str | None
    offset: int
    removes: bool


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of an item."""

    item: Item
    state: ItemState
    chunks: int = 0
    code: str | None = None
    message: str | None = None
    revision: int | None = None
    """The live revision that holds the file now."""


@dataclass(frozen=True, slots=True)
class Segments:
    """Pieces of the spool that may still be needed."""

    waiting: frozenset[str]
    """Those with files whose turn is still to come."""
    failed: tuple[str, ...]
    """Those with nothing but failed files, newest first."""


@dataclass(slots=True)
class Tally:
    """A job's items, counted."""

    counts: dict[str, int] = field(default_factory=dict)
    chunks: int = 0
    bytes_waiting: int = 0
    bytes_done: int = 0

    def add(self, row: Row[Any]) -> None:
        """Count the items of one state."""
        self.counts[row.state] = row.items
        if row.state in ("created", "replaced"):
            self.chunks += row.chunks
        if row.state in ("awaiting", "waiting"):
            self.bytes_waiting += row.bytes
        if row.state in ("created", "replaced", "failed"):
            self.bytes_done += row.bytes

    def progress(self, active_seconds: float) -> IngestionProgress:
        """Say how far the job is and how long the rest will take."""
        rate = self.chunks / active_seconds if active_seconds and self.chunks else None
        eta = None
        if active_seconds and self.bytes_done and self.bytes_waiting:
            eta = round(self.bytes_waiting * active_seconds / self.bytes_done, 1)
        return IngestionProgress(
            total=sum(self.counts.values()),
            **self.counts,
            chunks=self.chunks,
            bytes_waiting=self.bytes_waiting,
            chunks_per_second=None if rate is None else round(rate, 2),
            eta_seconds=eta,
        )


def file_hash(
    sha256: str, uri: str, metadata: Mapping[str, Any], allowed_groups: Sequence[str]
) -> str:
    """Hash a file with all else that its document is made of; equal hashes mean nothing to do."""
    content = [READER, sha256, uri, dict(metadata), list(allowed_groups)]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def ingestion_of(row: Row[Any], tally: Tally) -> Ingestion:
    """Describe a job's row."""
    return Ingestion(
        id=row.id,
        collection=row.collection,
        source=row.source,
        status=row.status,
        created_at=row.created_at,
        finished_at=row.finished_at,
        progress=tally.progress(row.active_seconds),
    )


def item_of(row: Row[Any]) -> Item:
    """Read an item that is to be worked on."""
    return Item(
        row.number,
        row.document_id,
        row.uri,
        row.sha256,
        row.bytes,
        row.segment,
        row.offset,
        bool(row.removes),
    )


def outcome_of(row: Row[Any]) -> IngestionItem:
    """Describe an item to a caller."""
    return IngestionItem(
        number=row.number,
        document_id=row.document_id,
        state=row.state,
        bytes=row.bytes,
        chunks=row.chunks,
        code=row.code,
        message=row.message,
    )
