"""The tuner's process: a worker loop with health and metrics beside it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from services.chassis.health import health_routes
from services.chassis.serving import install_chassis
from services.chassis.telemetry import metrics_route, open_registry
from services.tuner.resources import open_resources
from services.tuner.settings import Settings


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the app; nothing is opened before its lifespan."""
    settings = settings or Settings()
    registry = open_registry()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_resources(settings, registry) as resources, asyncio.TaskGroup() as group:
            app.state.resources = resources
            loop = group.create_task(resources.worker.run())
            yield
            loop.cancel()

    app = FastAPI(title="Inkstone tuner", lifespan=lifespan)
    install_chassis(app, settings.listening)
    app.include_router(health_routes(dict))
    app.include_router(metrics_route(registry))
    return app


async def work_once(settings: Settings, job: str | None) -> bool:
    """Work on one job without serving anything, and tell whether there was one.

    A stop signal ends the process once the job is given back.
    """
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        async with open_resources(settings, open_registry()) as resources:
            return await resources.worker.once(job, settings.claim_seconds)
    except asyncio.CancelledError:
        raise SystemExit(128 + signal.SIGTERM) from None
