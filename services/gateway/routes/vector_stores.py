"""`/v1/vector_stores`: OpenAI's vector stores; each is a collection by another name."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from services.contracts.knowledge import CollectionName, Deleted
from services.contracts.vector_stores import (
    SearchHits,
    VectorStore,
    VectorStoreCreate,
    VectorStorePage,
    VectorStoreSearch,
    VectorStoreUpdate,
)
from services.gateway.dependencies import (
    CursorDep,
    Reader,
    ResourcesDep,
    Writer,
    WriterExpectedDep,
)

router = APIRouter(prefix="/v1/vector_stores", tags=["vector stores"])

StorePath = Annotated[CollectionName, Path()]


@router.post("")
async def create_vector_store(
    resources: ResourcesDep, caller: Writer, body: VectorStoreCreate
) -> VectorStore:
    """Open a vector store, with files if they are named."""
    return await resources.knowledge.stores.create(caller, body)


@router.get("")
async def list_vector_stores(
    resources: ResourcesDep, caller: Reader, cursor: CursorDep
) -> VectorStorePage:
    """List the tenant's vector stores: its collections, however they came to be."""
    data, has_more = await resources.knowledge.stores.listed(caller, cursor.page, cursor.order)
    return VectorStorePage(
        data=list(data),
        first_id=data[0].id if data else None,
        last_id=data[-1].id if data else None,
        has_more=has_more,
    )


@router.get("/{vector_store_id}")
async def get_vector_store(
    resources: ResourcesDep, caller: Reader, response: Response, vector_store_id: StorePath
) -> VectorStore:
    """Describe a vector store; its `ETag` goes into `If-Match` of a later change."""
    found = await resources.knowledge.stores.one(caller, vector_store_id)
    response.headers["ETag"] = f'"{found.inkstone.version}"'
    return found


@router.post("/{vector_store_id}")
async def update_vector_store(
    resources: ResourcesDep,
    caller: Writer,
    expected: WriterExpectedDep,
    vector_store_id: StorePath,
    body: VectorStoreUpdate,
) -> VectorStore:
    """Change a vector store's name and metadata."""
    return await resources.knowledge.stores.update(caller, vector_store_id, body, expected)


@router.delete("/{vector_store_id}")
async def delete_vector_store(
    resources: ResourcesDep, caller: Writer, vector_store_id: StorePath
) -> Deleted:
    """Delete a vector store with its collection; the files under `/v1/files` stay."""
    await resources.knowledge.stores.delete(caller, vector_store_id)
    return Deleted(id=vector_store_id, object="vector_store.deleted")


@router.post("/{vector_store_id}/search")
async def search_vector_store(
    resources: ResourcesDep, caller: Reader, vector_store_id: StorePath, body: VectorStoreSearch
) -> SearchHits:
    """Find passages, best first."""
    return await resources.knowledge.searcher.search(caller, vector_store_id, body)
