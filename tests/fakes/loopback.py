"""Serving an ASGI app on a free loopback port, in the test's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import uvicorn

START_DEADLINE_SECONDS = 30
"""How long an app's lifespan may take to start."""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the test runner."""
        yield


@contextlib.asynccontextmanager
async def running(app: Any, *, port: int = 0) -> AsyncIterator[str]:
    """Serve an app with its lifespan and yield its base URL.

    Args:
        port: a fixed port, to come back where an earlier server stood; free when 0.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        ws="none",
        timeout_graceful_shutdown=1,
        # A test that computes for a while must find its connection still open.
        timeout_keep_alive=300,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        async with asyncio.timeout(START_DEADLINE_SECONDS):
            while not server.started:
                if task.done():
                    await task
                    raise RuntimeError("the app's lifespan failed; see the captured log")
                await asyncio.sleep(0.005)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        with contextlib.suppress(SystemExit):
            await task
        listener.close()
