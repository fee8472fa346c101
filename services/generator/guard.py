"""Closes the engine's HTTP server to everything but the routes that Inkstone uses.

vLLM's own key covers `/v1` only: adapters can be loaded through `/adapters`, and the engine paused,
by anybody who reaches the port. Loaded into the engine's process by

    --middleware services.generator.guard.RouteGuard

this class stands outside vLLM's own middleware. Every route but `/health` needs the key, `/metrics`
too: a scraper sends it as a bearer token. Only the standard library is imported, so that the file
can be put into an image that holds vLLM and nothing of Inkstone.
"""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

KEY_VARIABLE = "VLLM_API_KEY"
"""vLLM's own variable: both checks use one key."""

OPEN = frozenset({("GET", "/health")})
"""Needs no key: it tells nothing but whether the engine lives."""

ALLOWED = OPEN | {
    ("GET", "/metrics"),
    ("GET", "/version"),
    ("GET", "/v1/models"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("POST", "/v1/load_lora_adapter"),
    ("POST", "/v1/unload_lora_adapter"),
}
"""What may pass; a path must be written exactly so."""


class RouteGuard:
    """Refuses what is not on the list, and callers without the key.

    Raises:
        RuntimeError: when no key is set; an open engine must not start.
    """

    def __init__(self, app: App) -> None:
        key = os.environ.get(KEY_VARIABLE, "")
        if not key:
            raise RuntimeError(f"{KEY_VARIABLE} is not set; the engine would be open to anybody")
        self._app = app
        self._expected = f"Bearer {key}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI event stream."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] != "http" or not _is_allowed(scope):
            await _refuse(send, 404, "route_closed", "This route of the engine is closed.")
        elif not self._has_key(scope):
            message = "The engine answers Inkstone's own services only; send its key."
            await _refuse(send, 401, "invalid_api_key", message)
        else:
            await self._app(scope, receive, send)

    def _has_key(self, scope: Scope) -> bool:
        if (scope["method"], scope["path"]) in OPEN:
            return True
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        return len(given) == 1 and hmac.compare_digest(given[0], self._expected)


def _is_allowed(scope: Scope) -> bool:
    """Compare method and path, the path also as it was sent: `%6dodels` is not `models`."""
    path: str = scope["path"]
    sent = scope.get("raw_path") or path.encode()
    return (scope["method"], path) in ALLOWED and sent.partition(b"?")[0] == path.encode()


async def _refuse(send: Send, status: int, code: str, message: str) -> None:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"error": error}).encode()})
