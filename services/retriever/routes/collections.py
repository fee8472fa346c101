"""Listing and removing collections."""

from __future__ import annotations

from fastapi import APIRouter

from services.contracts.knowledge import Collection, CollectionName, CollectionPage, Deleted
from services.retriever.dependencies import Borrowed, CallerOf

router = APIRouter(prefix="/collections", tags=["collections"])


@router.get("")
async def list_collections(resources: Borrowed, caller: CallerOf) -> CollectionPage:
    """List the tenant's collections."""
    return CollectionPage(data=await resources.catalogue.documents.collections(caller.tenant))


@router.get("/{collection}")
async def read_collection(
    resources: Borrowed, caller: CallerOf, collection: CollectionName
) -> Collection:
    """Describe one collection."""
    (found,) = await resources.catalogue.documents.collections(caller.tenant, collection)
    return found


@router.put("/{collection}")
async def create_collection(
    resources: Borrowed, caller: CallerOf, collection: CollectionName
) -> Collection:
    """Make an empty collection, so that it can be searched before its first document."""
    await resources.catalogue.writes.open_collection(caller.tenant, collection)
    (found,) = await resources.catalogue.documents.collections(caller.tenant, collection)
    return found


@router.delete("/{collection}")
async def delete_collection(
    resources: Borrowed, caller: CallerOf, collection: CollectionName
) -> Deleted:
    """Remove a collection with all its documents."""
    await resources.rooms.delete_collection(caller.tenant, collection)
    return Deleted(id=collection, object="collection")
