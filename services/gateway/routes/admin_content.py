"""The content store of the caller's tenant: read, and erased."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from services.chassis.errors import InvalidRequest
from services.contracts.assistants import AssistantName
from services.contracts.content import ContentErased, ContentPage
from services.gateway.dependencies import (
    ContentActorDep,
    ContentReader,
    PageDep,
    ResourcesDep,
)
from services.gateway.registry import content

router = APIRouter(prefix="/admin/content", tags=["content"])

RequestId = Annotated[str | None, Query(min_length=1, max_length=128)]


@router.get("")
async def list_content(
    resources: ResourcesDep,
    reader: ContentReader,
    page: PageDep,
    assistant: AssistantName | None = None,
    request_id: RequestId = None,
) -> ContentPage:
    """List the texts that are kept, newest first; none where the tenant does not want them kept."""
    data, has_more = await content.listed(
        resources.registry, reader.tenant, page, assistant=assistant, request_id=request_id
    )
    return ContentPage(data=list(data), has_more=has_more)


@router.delete("")
async def erase_content(
    resources: ResourcesDep,
    actor: ContentActorDep,
    request_id: RequestId = None,
    end_user: Annotated[str | None, Query(min_length=1, max_length=1024)] = None,
) -> ContentErased:
    """Erase the texts of one request, or all of an end user as apps named it in `user`."""
    if (request_id is None) == (end_user is None):
        raise InvalidRequest("Name either `request_id` or `end_user`.", param="request_id")
    erased = await resources.answering.content.erase(
        actor, request_id=request_id, end_user=end_user
    )
    return ContentErased(erased=erased)
