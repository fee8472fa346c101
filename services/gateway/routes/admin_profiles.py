"""Profile versions of the operator's tenant, by their content."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from services.contracts.assistants import ProfileHash, ProfileVersion, ProfileVersionPage
from services.gateway.dependencies import Operator, PageDep, ResourcesDep
from services.gateway.registry import profiles

router = APIRouter(prefix="/admin/profiles", tags=["assistants"])


@router.get("")
async def list_profiles(
    resources: ResourcesDep, operator: Operator, page: PageDep
) -> ProfileVersionPage:
    """List every profile that a release was ever made with, newest first."""
    async with resources.registry.database.read() as connection:
        data, has_more = await profiles.listed(connection, operator.tenant, page)
    return ProfileVersionPage(data=list(data), has_more=has_more)


@router.get("/{profile_id}")
async def get_profile(
    resources: ResourcesDep, operator: Operator, profile_id: Annotated[ProfileHash, Path()]
) -> ProfileVersion:
    """Describe a profile version, with the releases that are made with it."""
    async with resources.registry.database.read() as connection:
        return await profiles.find(connection, operator.tenant, profile_id)
