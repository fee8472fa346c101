"""What `/metrics` shows of the registry."""

from __future__ import annotations

import heapq
import math
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


@dataclass(frozen=True, slots=True)
class KeyGauge:
    """When keys expire, so that nobody finds out by being refused."""

    keeper: SnapshotKeeper
    expires: Gauge
    limit: int
    """Of more keys than this, those that expire first are shown."""

    async def show(self) -> None:
        """Show what the snapshot says now; a key that expires never has no series."""
        ends = dict[tuple[str, str], float]()
        for caller in self.keeper.current.callers.values():
            # A key that is being rotated has several secrets; the last of them counts.
            key = (caller.tenant, caller.key_id)
            at = math.inf if caller.expires_at is None else caller.expires_at
            ends[key] = max(at, ends.get(key, 0.0))
        ending = [(at, key) for key, at in ends.items() if at < math.inf]
        self.expires.clear()
        for at, key in heapq.nsmallest(self.limit, ending):
            self.expires.labels(*key).set(at)


def open_key_gauge(keeper: SnapshotKeeper, metrics: CollectorRegistry, *, limit: int) -> KeyGauge:
    """Make the gauge."""
    expires = Gauge(
        "inkstone_key_expires_timestamp_seconds",
        "When an API key expires; keys that expire first, where there are many.",
        ["tenant", "key"],
        registry=metrics,
    )
    return KeyGauge(keeper, expires, limit)
