"""The generator replicas, as this gateway sees them."""

from __future__ import annotations

from fastapi import APIRouter

from services.contracts.adapters import Replica, ReplicaPage
from services.gateway.dependencies import Operator, ResourcesDep

router = APIRouter(prefix="/admin/replicas", tags=["replicas"])


@router.get("")
async def list_replicas(resources: ResourcesDep, operator: Operator) -> ReplicaPage:
    """List every replica that reports, with the tenant's own adapters on it."""
    snapshot = resources.snapshot
    own = {id_ for tenant, id_ in snapshot.adapters if tenant == operator.tenant}

    def seen(replica: Replica) -> Replica:
        adapters = {id_: said for id_, said in replica.adapters.items() if id_ in own}
        in_flight = resources.answering.in_flight(replica.replica)
        return replica.model_copy(update={"adapters": adapters, "in_flight": in_flight})

    return ReplicaPage(data=[seen(replica) for replica in snapshot.replicas])
