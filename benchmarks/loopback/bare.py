"""A proxy that does nothing, on the gateway's own stack: what no gateway in Python can go below.

python benchmarks/loopback/bare.py <port> <upstream port>
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Receive, Scope, Send


class Bare:
    """Passes bytes on."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self.session: aiohttp.ClientSession

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = (await receive())["body"]
        async with self.session.post(self._upstream, data=body) as reply:
            headers = [(b"content-type", reply.headers["Content-Type"].encode())]
            if reply.content_length is not None:
                headers.append((b"content-length", str(reply.content_length).encode()))
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            async for data in reply.content.iter_any():
                await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def main() -> None:
    """Serve until ended."""
    port, upstream = sys.argv[1:]
    bare = Bare(f"http://127.0.0.1:{upstream}/v1/chat/completions")

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=512)) as session:
            bare.session = session
            yield

    app = Starlette(
        routes=[
            Route("/healthz", lambda _: None),
            Route("/v1/chat/completions", bare, methods=["POST"]),
        ],
        lifespan=lifespan,
    )
    uvicorn.run(app, port=int(port), loop="uvloop", http="httptools", log_level="warning")


if __name__ == "__main__":
    main()
