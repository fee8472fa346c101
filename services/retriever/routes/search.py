"""Searching, and embedding without storing."""

from __future__ import annotations

from fastapi import APIRouter

from services.contracts.knowledge import (
    CollectionSearch,
    EmbeddingModel,
    EmbeddingRequest,
    EmbeddingResult,
    SearchResult,
)
from services.retriever.dependencies import Borrowed, CallerOf
from services.retriever.embedding import embed_texts

router = APIRouter(tags=["search"])


@router.post("/search")
async def search(resources: Borrowed, caller: CallerOf, body: CollectionSearch) -> SearchResult:
    """Find the passages nearest to a question in one or more collections."""
    return await resources.rooms.search(caller, body)


@router.post("/embeddings")
async def embeddings(resources: Borrowed, body: EmbeddingRequest) -> EmbeddingResult:
    """Turn texts into unit vectors with the model that searches use."""
    limit = resources.settings.limits.max_embedding_characters
    return await embed_texts(resources.embedder, body, limit)


@router.get("/embeddings/model")
async def embedding_model(resources: Borrowed) -> EmbeddingModel:
    """Describe the model that searches use."""
    embedder = resources.embedder
    return EmbeddingModel(
        model=embedder.name, dimensions=embedder.dimensions, fingerprint=embedder.fingerprint
    )
