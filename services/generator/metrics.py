"""What the agent counts."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.chassis.telemetry import SECONDS
from services.contracts.adapters import ReplicaAdapterState


@dataclass(frozen=True, slots=True)
class Metrics:
    """The agent's own series; the registry exposes them."""

    adapter_ready: Gauge
    load_seconds: Histogram
    load_failures: Counter
    engine_up: Gauge
    engine_restarts: Counter
    engine_start_seconds: Gauge
    heartbeats: Counter
    loop_failures: Counter

    def note_adapter(self, version: str, state: ReplicaAdapterState | None) -> None:
        """Show whether a version is proven; a forgotten one has no series any more."""
        if state is None:
            self.adapter_ready.remove(version)
        else:
            self.adapter_ready.labels(adapter=version).set(state is ReplicaAdapterState.PROVEN)


def open_metrics(registry: CollectorRegistry) -> Metrics:
    """Register the agent's series."""
    metrics = Metrics(
        adapter_ready=Gauge(
            "inkstone_adapter_ready",
            "1 when the adapter version is proven on this replica.",
            ["adapter"],
            registry=registry,
        ),
        load_seconds=Histogram(
            "inkstone_adapter_load_seconds",
            "From the start of a load to its proof.",
            buckets=SECONDS,
            registry=registry,
        ),
        load_failures=Counter(
            "inkstone_adapter_load_failures_total",
            "Loads that failed, for good (refused) or for now (postponed).",
            ["kind"],
            registry=registry,
        ),
        engine_up=Gauge(
            "inkstone_engine_up", "1 when the engine answers its health check.", registry=registry
        ),
        engine_restarts=Counter(
            "inkstone_engine_restarts_total",
            "How often the engine had to be started again.",
            registry=registry,
        ),
        engine_start_seconds=Gauge(
            "inkstone_engine_start_seconds",
            "How long the engine's last start took.",
            registry=registry,
        ),
        heartbeats=Counter(
            "inkstone_heartbeats_total",
            "Heartbeats to the gateway, by outcome.",
            ["outcome"],
            registry=registry,
        ),
        loop_failures=Counter(
            "inkstone_generator_loop_failures_total",
            "Passes of a background loop that failed, by loop.",
            ["loop"],
            registry=registry,
        ),
    )
    # A counter that begins at 1 hides its first failure from `increase()`.
    for kind in ("refused", "postponed"):
        metrics.load_failures.labels(kind=kind)
    for loop in ("engine", "heartbeat", "reconcile"):
        metrics.loop_failures.labels(loop=loop)
    return metrics
