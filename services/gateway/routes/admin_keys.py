"""API keys of the operator's tenant."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Response

from services.contracts.keys import IssuedKey, Key, KeyPage, KeyRotation, KeyWrite
from services.contracts.knowledge import Deleted
from services.gateway.dependencies import (
    ActorDep,
    AttemptDep,
    ExpectedDep,
    Operator,
    PageDep,
    ResourcesDep,
)
from services.gateway.registry import keys
from services.gateway.registry.idempotency import issue_once

router = APIRouter(prefix="/admin/keys", tags=["keys"])


@router.post("", status_code=201)
async def issue_key(
    resources: ResourcesDep, actor: ActorDep, attempt: AttemptDep, write: KeyWrite
) -> IssuedKey:
    """Issue a key. Its secret is in this reply and nowhere else."""
    what = f"issue {write.model_dump_json()}"
    return await issue_once(
        resources.registry, actor, attempt, what, partial(keys.issue, write=write)
    )


@router.get("")
async def list_keys(resources: ResourcesDep, operator: Operator, page: PageDep) -> KeyPage:
    """List the tenant's keys, newest first, revoked ones included."""
    data, has_more = await keys.listed(resources.registry, operator.tenant, page)
    return KeyPage(data=list(data), has_more=has_more)


@router.get("/{key_id}")
async def get_key(
    resources: ResourcesDep, operator: Operator, response: Response, key_id: str
) -> Key:
    """Describe a key; its `ETag` goes into `If-Match` of a later change."""
    key = await keys.one(resources.registry, operator.tenant, key_id)
    response.headers["ETag"] = f'"{key.version}"'
    return key


@router.post("/{key_id}/rotate", status_code=201)
async def rotate_key(
    resources: ResourcesDep,
    actor: ActorDep,
    attempt: AttemptDep,
    expected: ExpectedDep,
    key_id: str,
    rotation: KeyRotation,
) -> IssuedKey:
    """Give a key a new secret; the earlier ones stay valid for `overlap_seconds`."""
    what = f"rotate {key_id} {rotation.model_dump_json()}"
    overlap = rotation.overlap_seconds
    make = partial(keys.rotate, key_id=key_id, overlap_seconds=overlap, expected=expected)
    return await issue_once(resources.registry, actor, attempt, what, make)


@router.delete("/{key_id}")
async def revoke_key(
    resources: ResourcesDep, actor: ActorDep, expected: ExpectedDep, key_id: str
) -> Deleted:
    """Revoke a key at once; it stays listed with the time of its end."""
    await keys.revoke(resources.registry, actor, key_id, expected=expected)
    return Deleted(id=key_id, object="api_key")
