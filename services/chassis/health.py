"""Liveness and readiness."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Response
from starlette.responses import JSONResponse

Readiness = Callable[[], dict[str, str]]
"""Names what is not ready and why; empty means ready."""


def health_routes(missing: Readiness) -> APIRouter:
    """Make `/healthz` (the process answers) and `/readyz` (it can do its work)."""
    router = APIRouter(tags=["operations"])

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Say that the process is alive."""
        return {"status": "ok"}

    @router.get("/readyz")
    async def readyz() -> Response:
        """Say whether the service can do its work, and if not, what is missing."""
        reasons = missing()
        status = "ready" if not reasons else "not_ready"
        return JSONResponse({"status": status, "missing": reasons}, 200 if not reasons else 503)

    return router
