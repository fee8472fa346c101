"""The audit log of the operator's tenant."""

from __future__ import annotations

from fastapi import APIRouter

from services.contracts.audit import AuditPage
from services.gateway.dependencies import Operator, PageDep, ResourcesDep
from services.gateway.registry import audit

router = APIRouter(prefix="/admin/audit", tags=["audit"])


@router.get("")
async def list_events(resources: ResourcesDep, operator: Operator, page: PageDep) -> AuditPage:
    """List who changed what, when and why, newest first."""
    data, has_more = await audit.listed(resources.registry, operator.tenant, page)
    return AuditPage(data=list(data), has_more=has_more)
