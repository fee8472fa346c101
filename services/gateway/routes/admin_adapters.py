"""Adapter versions of the operator's tenant."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from services.contracts.adapters import AdapterVersion, AdapterVersionId, AdapterVersionPage
from services.contracts.knowledge import Deleted
from services.gateway.adapters.submission import OPENAPI_BODY, submitted
from services.gateway.dependencies import (
    ActorDep,
    AttemptDep,
    ExpectedDep,
    Operator,
    PageDep,
    ResourcesDep,
)
from services.gateway.registry import adapters, evaluations

router = APIRouter(prefix="/admin/adapters", tags=["adapters"])

VersionPath = Annotated[AdapterVersionId, Path()]


@router.post(
    "",
    status_code=201,
    openapi_extra=OPENAPI_BODY,
    responses={200: {"model": AdapterVersion, "description": "The version was known already."}},
)
async def register_adapter(
    request: Request,
    response: Response,
    resources: ResourcesDep,
    actor: ActorDep,
    attempt: AttemptDep,
) -> AdapterVersion:
    """Register a PEFT LoRA adapter: a .tar.gz or .zip of its folder, or a path to it.

    The version is named by its content; the same content again is the same version.
    """
    async with submitted(request, resources.intake) as (fill, labels):
        version, created = await resources.intake.register(actor, fill, labels, attempt)
    response.status_code = 201 if created else 200
    return adapters.with_replicas(version, resources.snapshot)


@router.get("")
async def list_adapters(
    resources: ResourcesDep, operator: Operator, page: PageDep
) -> AdapterVersionPage:
    """List the tenant's adapter versions, newest first, retired ones included."""
    data, has_more = await adapters.listed(resources.registry, operator.tenant, page)
    seen = [adapters.with_replicas(version, resources.snapshot) for version in data]
    return AdapterVersionPage(data=seen, has_more=has_more)


@router.get("/{version_id}")
async def get_adapter(
    resources: ResourcesDep, operator: Operator, response: Response, version_id: VersionPath
) -> AdapterVersion:
    """Describe an adapter version: what each live replica proved, what evaluations said."""
    async with resources.registry.database.read() as connection:
        version = await adapters.find(connection, operator.tenant, version_id)
        evidence = await evaluations.of_adapter(connection, operator.tenant, version_id)
    response.headers["ETag"] = f'"{version.version}"'
    seen = adapters.with_replicas(version, resources.snapshot)
    return seen.model_copy(update={"evidence": evidence})


@router.delete("/{version_id}")
async def retire_adapter(
    resources: ResourcesDep, actor: ActorDep, expected: ExpectedDep, version_id: VersionPath
) -> Deleted:
    """Retire an adapter version that no assistant serves; replicas unload it."""
    await adapters.retire(resources.registry, actor, version_id, expected=expected)
    return Deleted(id=version_id, object="adapter.version")
