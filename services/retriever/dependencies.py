"""What routes ask for: the process's resources, and who is calling."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import unquote

from fastapi import Depends, Request

from services.chassis.credentials import require_shared_key
from services.contracts.knowledge import (
    CURATOR_HEADER,
    GROUPS_HEADER,
    TENANT_HEADER,
    CollectionName,
    DocumentId,
)
from services.retriever.catalogue.records import Caller, Place, canonical_id
from services.retriever.errors import TenantMissing
from services.retriever.resources import Resources


def resources_of(request: Request) -> Resources:
    """Borrow the process's resources."""
    resources: Resources = request.app.state.resources
    return resources


async def authorised_resources(request: Request) -> Resources:
    """Borrow the process's resources for a caller that shows the shared key."""
    resources = resources_of(request)
    require_shared_key(request, resources.settings.api_key.get_secret_value())
    return resources


async def caller_of(request: Request) -> Caller:
    """Read on whose behalf the gateway asks.

    Raises:
        TenantMissing: the request does not say.
    """
    tenant = unquote(request.headers.get(TENANT_HEADER, "")).strip()
    if not tenant:
        raise TenantMissing(f"Name the tenant in the {TENANT_HEADER} header.", param=TENANT_HEADER)
    groups = request.headers.get(GROUPS_HEADER, "").split(",")
    return Caller(
        tenant,
        tuple(unquote(group.strip()) for group in groups if group.strip()),
        curator=request.headers.get(CURATOR_HEADER) == "yes",
    )


async def place_of(
    collection: CollectionName,
    document_id: DocumentId,
    caller: Annotated[Caller, Depends(caller_of)],
) -> Place:
    """Name the document that a path is about."""
    return Place(caller.tenant, collection, canonical_id(document_id))


Borrowed = Annotated[Resources, Depends(authorised_resources)]
CallerOf = Annotated[Caller, Depends(caller_of)]
PlaceOf = Annotated[Place, Depends(place_of)]
