"""Looking after the index."""

from __future__ import annotations

from fastapi import APIRouter

from services.contracts.ingestion import IndexBuild
from services.retriever.dependencies import Borrowed

router = APIRouter(prefix="/index", tags=["index"])


@router.get("")
async def read_index(resources: Borrowed) -> IndexBuild:
    """Say how far the making of a new index is."""
    return resources.rebuilder.state


@router.post("/rebuild", status_code=202)
async def rebuild_index(resources: Borrowed) -> IndexBuild:
    """Make the index anew from the catalogue; the old one serves until the new one is complete."""
    return resources.rebuilder.start()
