"""Assistants of the operator's tenant, and the releases behind them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from services.contracts.assistants import (
    Assistant,
    AssistantName,
    AssistantPage,
    AssistantWrite,
    Release,
    ReleasePage,
)
from services.contracts.knowledge import Deleted
from services.gateway.dependencies import ActorDep, ExpectedDep, Operator, PageDep, ResourcesDep
from services.gateway.registry import assistants, releases

router = APIRouter(prefix="/admin/assistants", tags=["assistants"])

NamePath = Annotated[AssistantName, Path()]


@router.put("/{name}")
async def put_assistant(
    resources: ResourcesDep,
    actor: ActorDep,
    expected: ExpectedDep,
    response: Response,
    name: NamePath,
    write: AssistantWrite,
) -> Assistant:
    """Bind an assistant to a profile, a retrieval policy and an adapter version, in one step.

    The reply comes when every live replica has proven the adapter and the assistant serves it. On
    any error the assistant serves what it served before.
    """
    bound = await resources.binding.bind(actor, name, write, expected=expected)
    response.headers["ETag"] = f'"{bound.version}"'
    return bound


@router.get("")
async def list_assistants(
    resources: ResourcesDep, operator: Operator, page: PageDep
) -> AssistantPage:
    """List the tenant's assistants by name."""
    data, has_more = await assistants.listed(resources.registry, operator.tenant, page)
    return AssistantPage(data=list(data), has_more=has_more)


@router.get("/{name}")
async def get_assistant(
    resources: ResourcesDep, operator: Operator, response: Response, name: NamePath
) -> Assistant:
    """Describe an assistant; its `ETag` goes into `If-Match` of a later change."""
    async with resources.registry.database.read() as connection:
        found = await assistants.find(connection, operator.tenant, name)
    response.headers["ETag"] = f'"{found.version}"'
    return found


@router.get("/{name}/releases")
async def list_releases(
    resources: ResourcesDep, operator: Operator, name: NamePath, page: PageDep
) -> ReleasePage:
    """List everything that an assistant has ever served, newest first."""
    data, has_more = await assistants.released(resources.registry, operator.tenant, name, page)
    return ReleasePage(data=list(data), has_more=has_more)


@router.get("/{name}/releases/{number}")
async def get_release(
    resources: ResourcesDep,
    operator: Operator,
    name: NamePath,
    number: Annotated[int, Path(ge=1, le=2**31 - 1)],
) -> Release:
    """Describe one release."""
    async with resources.registry.database.read() as connection:
        return await releases.find(connection, operator.tenant, name, number)


@router.delete("/{name}")
async def delete_assistant(
    resources: ResourcesDep, actor: ActorDep, expected: ExpectedDep, name: NamePath
) -> Deleted:
    """Take an assistant out of service; its releases stay on record."""
    await assistants.delete(resources.registry, actor, name, expected=expected)
    return Deleted(id=name, object="assistant")
