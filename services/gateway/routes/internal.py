"""What the other services of the installation tell the gateway."""

from __future__ import annotations

from fastapi import APIRouter

from services.contracts.adapters import ReplicaOrders, ReplicaReport
from services.gateway.dependencies import Internal, ResourcesDep
from services.gateway.registry.replicas import heartbeat
from services.gateway.slots import capacity_of, desired

router = APIRouter(prefix="/internal", tags=["internal"])


@router.post("/replicas/heartbeat")
async def replica_heartbeat(
    resources: ResourcesDep, _: Internal, report: ReplicaReport
) -> ReplicaOrders:
    """Take a replica's report and answer with the adapters that it should hold."""
    await heartbeat(resources.registry, report)
    snapshot = resources.snapshot
    capacity = min(report.max_cpu_loras, capacity_of(snapshot.replicas) or report.max_cpu_loras)
    return ReplicaOrders(
        desired=desired(snapshot, capacity), heartbeat_seconds=resources.heartbeat_seconds
    )
