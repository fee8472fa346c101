"""An app with the whole chassis, and a client that speaks to it over loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from services.chassis.http import open_session
from services.chassis.serving import Listening, install_chassis

BODY_LIMIT = 2048
UPLOAD_LIMIT = 8192


def http_only(app: ASGIApp) -> ASGIApp:
    """Let a raw ASGI app answer requests and nothing else; uvicorn goes on without a lifespan."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError("requests only")
        await app(scope, receive, send)

    return guarded


@pytest.fixture
def app() -> FastAPI:
    """A bare app that a test gives its routes."""
    app = FastAPI()
    install_chassis(
        app, Listening(max_body_bytes=BODY_LIMIT), body_limits={"/upload": UPLOAD_LIMIT}
    )
    return app


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_session() as session:
        yield session
