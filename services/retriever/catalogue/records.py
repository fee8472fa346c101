"""What the catalogue speaks of, and how its rows become that."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from services.contracts.knowledge import Document
from services.retriever.chunking import PageStart


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf the gateway asks."""

    tenant: str
    groups: tuple[str, ...]
    curator: bool
    """Whether documents of every group can be read and listed."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a document lives."""

    tenant: str
    collection: str
    id: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A document as a caller wrote it."""

    text: str
    title: str
    uri: str
    metadata: dict[str, Any]
    allowed_groups: list[str]
    content_hash: str
    pages: tuple[PageStart, ...] = ()


@dataclass(frozen=True, slots=True)
class Write:
    """A draft that was begun, with the revision it will be."""

    revision: int
    place: Place
    draft: Draft


@dataclass(frozen=True, slots=True)
class Live:
    """What a passage needs to know of its document."""

    place: Place
    title: str
    uri: str
    metadata: dict[str, Any]


def canonical_id(document_id: str) -> str:
    """Write an id in one way: composed, so that a Mac's file names and typed ones are equal."""
    return unicodedata.normalize("NFC", document_id)


def place_of(row: Row[Any]) -> Place:
    """Read where a row's document lives."""
    return Place(row.tenant, row.collection, row.id)


def document_of(row: Row[Any]) -> Document:
    """Describe a row of the documents' table."""
    return Document(
        id=row.id,
        collection=row.collection,
        title=row.title,
        uri=row.uri,
        metadata=row.metadata,
        allowed_groups=row.allowed_groups,
        content_hash=row.content_hash,
        chunks=row.chunks,
        characters=row.characters,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def write_of(row: Row[Any]) -> Write:
    """Read a document or a write under way, joined with its text, as it was written."""
    pages = tuple(PageStart(page, start) for page, start in row.pages)
    draft = Draft(
        row.text, row.title, row.uri, row.metadata, row.allowed_groups, row.content_hash, pages
    )
    return Write(row.revision, place_of(row), draft)


def live_of(row: Row[Any]) -> Live:
    """Read what a passage needs to know of a row's document."""
    return Live(place_of(row), row.title, row.uri, row.metadata)
