"""Running an app as a process."""

from __future__ import annotations

import gc
from typing import Literal

import uvicorn
from fastapi import FastAPI
from pydantic import Field

from services.chassis.access_log import AccessLogMiddleware
from services.chassis.body_limit import BodyLimitMiddleware
from services.chassis.errors import CrashMiddleware, install_error_handlers
from services.chassis.logging import configure_logging
from services.chassis.request_id import RequestIdMiddleware
from services.chassis.settings import SettingsGroup
from services.chassis.tracing import traced

COLLECT_AFTER_ALLOCATIONS = 20_000
"""How many new objects may outnumber the freed ones before the youngest are looked through."""


class Listening(SettingsGroup):
    """Where a process listens and how it stops."""

    host: str = "127.0.0.1"
    """The address to listen on; containers set 0.0.0.0."""
    port: int = Field(default=8000, ge=0, le=65535)
    """The port to listen on."""
    max_body_bytes: int = Field(default=4 * 1024 * 1024, ge=1024)
    """The largest request body of routes without a limit of their own."""
    drain_timeout_seconds: int = Field(default=20, ge=0)
    """How long running requests may go on after a stop signal."""
    backlog: int = Field(default=2048, ge=1)
    """Connections that may wait to be accepted."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """The least severe log level that is written."""
    log_form: Literal["json", "console"] = "json"
    """One JSON object a line, or text for a person."""


def install_chassis(
    app: FastAPI, listening: Listening, *, body_limits: dict[str, int] | None = None
) -> None:
    """Give an app what every service has: error bodies, request ids, body limits, access log."""
    install_error_handlers(app)
    app.add_middleware(
        BodyLimitMiddleware, default_bytes=listening.max_body_bytes, by_prefix=body_limits
    )
    app.add_middleware(CrashMiddleware)
    app.add_middleware(AccessLogMiddleware)
    app.add_middleware(RequestIdMiddleware)


def serve(app: FastAPI, service: str, listening: Listening) -> None:
    """Run an app until a stop signal; running requests may finish within the drain time."""
    configure_logging(service, level=listening.log_level, form=listening.log_form)
    with traced(service) as wrapped:
        _spare_the_collector()
        uvicorn.run(
            wrapped(app),
            host=listening.host,
            port=listening.port,
            loop="uvloop",
            http="httptools",
            backlog=listening.backlog,
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=listening.drain_timeout_seconds,
            timeout_keep_alive=75,
        )


def _spare_the_collector() -> None:
    """Take what lives as long as the process out of the garbage collector's sight.

    Imports leave some hundred thousand objects; looking through them again and again would take a
    busy gateway about a third of its time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_ALLOCATIONS, 20, 20)
