"""`/v1/models`: what the key may call as `model`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from services.contracts.models import Model, ModelPage
from services.gateway.dependencies import AppCaller, ResourcesDep
from services.gateway.listing import describe_model, list_models

router = APIRouter(prefix="/v1/models", tags=["chat"])


@router.get("")
async def get_models(resources: ResourcesDep, caller: AppCaller) -> ModelPage:
    """List the assistants, adapter versions, bases and embedding model that this key may call."""
    embedding = await resources.knowledge.embeddings.known_model(caller)
    return ModelPage(data=list_models(resources.snapshot, caller, embedding))


@router.get("/{model:path}")
async def get_model(
    resources: ResourcesDep, caller: AppCaller, model: Annotated[str, Path(max_length=256)]
) -> Model:
    """Describe one of them."""
    embedding = await resources.knowledge.embeddings.known_model(caller)
    return describe_model(resources.snapshot, caller, model, embedding)
