"""The prompts of assistants, shown without asking an engine."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from services.contracts.assistants import AssistantName
from services.contracts.prompts import ComposedPrompt, PromptWrite
from services.gateway.dependencies import Operator, ResourcesDep

router = APIRouter(prefix="/admin/assistants", tags=["assistants"])


@router.post("/{name}/prompt")
async def compose_prompt(
    resources: ResourcesDep,
    operator: Operator,
    name: Annotated[AssistantName, Path()],
    write: PromptWrite,
) -> ComposedPrompt:
    """Show what the model of an assistant would be given for a conversation.

    Retrieval, follow-ups and the cut to the context are those of the chat endpoint; what is
    retrieved is what the key may read.
    """
    return await resources.previewing.prompt(operator, name, write.messages)
