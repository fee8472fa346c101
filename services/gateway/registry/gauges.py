"""What `/metrics` shows of the registry."""

from __future__ import annotations

import time
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Gauge

from services.contracts.adapters import ReplicaAdapterState
from services.gateway.registry.keeper import SnapshotKeeper


def expose_registry(keeper: SnapshotKeeper, metrics: CollectorRegistry) -> None:
    """Show the snapshot's revision and age, and how many replicas are live and ready."""
    revision = Gauge(
        "inkstone_registry_revision",
        "The registry revision that this gateway serves.",
        registry=metrics,
    )
    age = Gauge(
        "inkstone_registry_age_seconds",
        "How long ago this gateway last saw the registry.",
        registry=metrics,
    )
    replicas = Gauge(
        "inkstone_replicas",
        "Replicas by state, as this gateway sees them.",
        ["state"],
        registry=metrics,
    )
    revision.set_function(lambda: keeper.current.revision)
    age.set_function(lambda: time.time() - keeper.checked_at)
    replicas.labels("live").set_function(lambda: sum(r.live for r in keeper.current.replicas))
    replicas.labels("ready").set_function(lambda: sum(r.ready for r in keeper.current.replicas))


@dataclass(frozen=True, slots=True)
class AdapterGauge:
    """Which replica holds which adapter version; as many series as replicas have room for."""

    keeper: SnapshotKeeper
    ready: Gauge

    async def show(self) -> None:
        """Show what the snapshot says now; what was unloaded has no series any more."""
        self.ready.clear()
        for replica in self.keeper.current.replicas:
            for version, said in replica.adapters.items():
                proven = replica.live and said.state is ReplicaAdapterState.PROVEN
                self.ready.labels(replica.replica, version).set(proven)


def open_adapter_gauge(keeper: SnapshotKeeper, metrics: CollectorRegistry) -> AdapterGauge:
    """Make the gauge."""
    ready = Gauge(
        "inkstone_replica_adapter_ready",
        "1 when the replica has proven the adapter version, as this gateway sees it.",
        ["replica", "adapter"],
        registry=metrics,
    )
    return AdapterGauge(keeper, ready)
