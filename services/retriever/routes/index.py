"""Looking after the index."""

from __future__ import annotations

from fastapi import APIRouter

from services.contracts.ingestion import EmbeddingChange, IndexBuild
from services.retriever.dependencies import Borrowed
from services.retriever.errors import IndexBuilding

router = APIRouter(prefix="/index", tags=["index"])


@router.get("")
async def read_index(resources: Borrowed) -> IndexBuild:
    """Say how far the making of a new index is."""
    return await resources.rebuilder.state()


@router.post("/rebuild", status_code=202)
async def rebuild_index(resources: Borrowed) -> IndexBuild:
    """Make the index anew from the catalogue; the old one serves until the new one is complete.

    One that several retrievers share is made anew document by document.
    """
    if not resources.rooms.settled:
        raise IndexBuilding("Collections are being embedded anew; wait until that is done.")
    return await resources.rebuilder.start()


@router.get("/embedding")
async def read_embedding_change(resources: Borrowed) -> EmbeddingChange:
    """Say how far collections are on their way to the embedding model that runs."""
    return await resources.changer.state()
