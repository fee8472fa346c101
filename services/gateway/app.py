"""The gateway's app: what it answers, and what it owns while it runs."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI

from services.chassis.health import health_routes
from services.chassis.serving import install_chassis
from services.chassis.telemetry import metrics_route, open_registry
from services.gateway.resources import open_resources
from services.gateway.routes import (
    admin_adapters,
    admin_assistants,
    admin_audit,
    admin_content,
    admin_costs,
    admin_evaluations,
    admin_keys,
    admin_profiles,
    admin_prompts,
    admin_replicas,
    admin_rollouts,
    chat,
    embeddings,
    feedback,
    files,
    fine_tuning,
    ingestion,
    internal,
    knowledge,
    models,
    training_jobs,
    vector_store_files,
    vector_stores,
)
from services.gateway.settings import Settings

_ROOMS = (
    chat,
    models,
    embeddings,
    feedback,
    files,
    fine_tuning,
    vector_stores,
    vector_store_files,
    knowledge,
    ingestion,
    admin_adapters,
    admin_assistants,
    admin_audit,
    admin_content,
    admin_costs,
    admin_evaluations,
    admin_keys,
    admin_profiles,
    admin_prompts,
    admin_replicas,
    admin_rollouts,
    internal,
    training_jobs,
)
_MULTIPART_OVERHEAD_BYTES = 64 * 1024


def create_app(settings: Settings | None = None) -> FastAPI:
    """Make the app; nothing is opened before its lifespan starts.

    Args:
        settings: read from the environment when left out.
    """
    settings = settings or Settings()
    metrics = open_registry()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_resources(settings, metrics) as resources:
            app.state.resources = resources
            yield

    app = FastAPI(title="Inkstone", lifespan=lifespan)
    install_chassis(
        app,
        settings.listening,
        body_limits={
            "/v1/collections/*/files": settings.max_upload_bytes,
            "/v1/files": settings.files.max_bytes + _MULTIPART_OVERHEAD_BYTES,
            "/v1/collections/*/ingestions": settings.max_upload_bytes,
            "/v1/ingestions/*/files": settings.max_upload_bytes,
            "/admin/adapters": settings.max_adapter_bytes + _MULTIPART_OVERHEAD_BYTES,
            "/admin/evaluation-sets/*": settings.evaluations.max_set_bytes,
            "/admin/training-jobs": settings.max_training_bytes + _MULTIPART_OVERHEAD_BYTES,
        },
    )
    # Without replicas or a registry the gateway still answers, if only to say so: a gateway that is
    # not ready gets no heartbeats either.
    app.include_router(health_routes(dict))
    app.include_router(metrics_route(metrics))
    for room in _ROOMS:
        app.include_router(room.router)
    return app
