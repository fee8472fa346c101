"""Writing, reading and removing documents."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from services.contracts.knowledge import (
    CollectionName,
    Deleted,
    DocumentPage,
    DocumentReceipt,
    DocumentText,
    DocumentWrite,
)
from services.retriever.dependencies import Borrowed, CallerOf, PlaceOf

router = APIRouter(prefix="/collections/{collection}/documents", tags=["documents"])

MAX_PAGE = 1000
"""The most documents that one page lists."""


@router.put("/{document_id}")
async def write_document(
    resources: Borrowed, place: PlaceOf, document: DocumentWrite
) -> DocumentReceipt:
    """Store a document, replace it, or find that nothing changed."""
    return await resources.indexer.write(place, document)


@router.get("")
async def list_documents(
    resources: Borrowed,
    caller: CallerOf,
    collection: CollectionName,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
    after: str | None = None,
) -> DocumentPage:
    """List the documents that a caller may see by id, beginning after the id that is given."""
    documents, has_more = await resources.catalogue.documents.page(
        caller, collection, limit=limit, after=after
    )
    return DocumentPage(
        data=documents,
        first_id=documents[0].id if documents else None,
        last_id=documents[-1].id if documents else None,
        has_more=has_more,
    )


@router.get("/{document_id}")
async def read_document(resources: Borrowed, caller: CallerOf, place: PlaceOf) -> DocumentText:
    """Read a document with its text, whose characters the passages' spans count."""
    return await resources.catalogue.documents.read(caller, place)


@router.delete("/{document_id}")
async def delete_document(resources: Borrowed, place: PlaceOf) -> Deleted:
    """Remove a document; no search sees it afterwards."""
    await resources.indexer.delete(place)
    return Deleted(id=place.id, object="collection.document")
