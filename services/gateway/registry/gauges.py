"""What `/metrics` shows of the registry."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Gauge

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
