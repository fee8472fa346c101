"""What answers cost."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from services.contracts.costs import SpentPage
from services.gateway.dependencies import Operator, ResourcesDep
from services.gateway.registry import costs

router = APIRouter(prefix="/admin/costs", tags=["costs"])

MONTH_SECONDS = 30 * 86_400


@router.get("")
async def list_costs(
    resources: ResourcesDep,
    operator: Operator,
    since: Annotated[float | None, Query(ge=0)] = None,
    until: Annotated[float | None, Query(ge=0)] = None,
) -> SpentPage:
    """Add up what the tenant's answers cost, by release and arm; the last 30 days if unset."""
    last = resources.registry.clock() if until is None else until
    first = last - MONTH_SECONDS if since is None else since
    data = await costs.spent(resources.registry, operator.tenant, first, last)
    return SpentPage(since=first, until=last, data=data)
