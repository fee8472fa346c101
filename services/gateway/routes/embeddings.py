"""`POST /v1/embeddings`: OpenAI's embeddings, with the model that searches use."""

from __future__ import annotations

from fastapi import APIRouter, Response

from services.contracts.embeddings import EmbeddingCreate, EmbeddingList
from services.gateway.dependencies import AppCaller, ResourcesDep

router = APIRouter(prefix="/v1/embeddings", tags=["embeddings"])


@router.post("", response_model=EmbeddingList)
async def create_embeddings(
    resources: ResourcesDep, caller: AppCaller, body: EmbeddingCreate
) -> Response:
    """Turn texts into vectors of unit length, in order."""
    reply = await resources.knowledge.embeddings.embed(caller, body)
    return Response(reply.model_dump_json(), media_type="application/json")
