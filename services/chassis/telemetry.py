"""Prometheus metrics of one process."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, disable_created_metrics, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
"""Histogram buckets for whole requests and their stages."""

OVERFLOW = "other"
"""What a label says once its cap is reached."""


def open_registry() -> CollectorRegistry:
    """Make a registry with the process's own figures in it.

    When a series began is not told: Prometheus finds resets by itself, and a series beside each
    other one only costs room.
    """
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry(auto_describe=True)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry


def metrics_route(registry: CollectorRegistry) -> APIRouter:
    """Make `/metrics`."""
    router = APIRouter(tags=["operations"])

    @router.get("/metrics")
    async def metrics() -> Response:
        """Expose the metrics in Prometheus' text format."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router


@dataclass(slots=True)
class LabelCap:
    """Bounds one label's values: the first `limit` distinct ones stay, the rest are `other`."""

    limit: int = 200
    _seen: set[Hashable] = field(default_factory=set)

    def __call__(self, value: str) -> str:
        """Return the value, or `other` once too many were seen."""
        if value in self._seen:
            return value
        if len(self._seen) >= self.limit:
            return OVERFLOW
        self._seen.add(value)
        return value
