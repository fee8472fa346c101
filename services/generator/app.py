"""The generator agent: starts or joins an engine, and makes it hold the right adapters.

It is not in the path of a chat request; its own routes are probes and metrics.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI

from services.chassis.health import health_routes
from services.chassis.serving import install_chassis
from services.chassis.telemetry import metrics_route, open_registry
from services.generator.loops import keep_reconciling, keep_reporting
from services.generator.metrics import open_metrics
from services.generator.resources import Resources, open_resources
from services.generator.settings import Settings


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the agent; nothing is opened before its lifespan."""
    settings = settings or Settings()
    registry = open_registry()
    metrics = open_metrics(registry)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_resources(settings, metrics) as resources, asyncio.TaskGroup() as group:
            app.state.resources = resources
            loops = [
                group.create_task(resources.supervisor.run()),
                group.create_task(
                    keep_reporting(resources.heartbeat, metrics, settings.heartbeat_seconds)
                ),
                group.create_task(
                    keep_reconciling(
                        resources.reconciler,
                        resources.state,
                        metrics,
                        settings.adapters.reconcile_seconds,
                    )
                ),
            ]
            yield
            for loop in loops:
                loop.cancel()

    app = FastAPI(title="Inkstone generator agent", lifespan=lifespan)
    install_chassis(app, settings.listening)
    app.include_router(health_routes(lambda: resources_of(app).missing()))
    app.include_router(metrics_route(registry))
    return app


def resources_of(app: FastAPI) -> Resources:
    """Read the one attribute that the lifespan sets."""
    resources: Resources = app.state.resources
    return resources
