"""The retriever's app: documents in, passages out."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI

from services.chassis.health import health_routes
from services.chassis.serving import install_chassis
from services.chassis.telemetry import metrics_route, open_registry
from services.retriever.embedding import Embedder
from services.retriever.resources import Resources, open_resources
from services.retriever.routes import collections, documents, files, index, ingestions, search
from services.retriever.settings import Settings

JSON_OVERHEAD = 3
"""How much longer a document's JSON body may be than its text: escapes and the other fields."""


def create_app(
    settings: Settings | None = None,
    *,
    embedder: Embedder | None = None,
    previous_embedder: Embedder | None = None,
) -> FastAPI:
    """Make the app; nothing is opened before it starts.

    Args:
        settings: read from the environment when left out.
        embedder: used instead of the model that the settings name.
        previous_embedder: used instead of the previous model that they name.
    """
    chosen = settings or Settings()
    registry = open_registry()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_resources(
            chosen, registry, embedder=embedder, previous_embedder=previous_embedder
        ) as resources:
            app.state.resources = resources
            yield

    def missing() -> dict[str, str]:
        opened: Resources = app.state.resources
        return opened.missing()

    app = FastAPI(title="Inkstone retriever", lifespan=lifespan)
    install_chassis(
        app,
        chosen.listening,
        body_limits={
            "/collections/*/files": chosen.limits.max_upload_bytes,
            "/collections/*/ingestions": chosen.limits.max_upload_bytes,
            "/ingestions/*/files": chosen.limits.max_upload_bytes,
            "/collections/*/documents": JSON_OVERHEAD * chosen.limits.max_document_bytes,
        },
    )
    rooms = (documents, files, ingestions, index, collections, search)
    routers = [room.router for room in rooms]
    for router in (health_routes(missing), metrics_route(registry), *routers):
        app.include_router(router)

    return app
