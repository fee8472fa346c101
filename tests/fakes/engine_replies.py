"""The bodies that vLLM 0.32 answers with."""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

import orjson
from starlette.responses import Response


class EngineRefusal(Exception):
    """An error reply of the engine."""

    def __init__(self, status: int, kind: str, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": status}}


def bad_request(message: str, param: str | None = None) -> EngineRefusal:
    """A value that the engine refuses."""
    return EngineRefusal(400, "BadRequestError", message, param=param)


def malformed(message: str, param: str | None) -> EngineRefusal:
    """A body that does not parse."""
    return EngineRefusal(400, "Bad Request", f"1 validation error:\n  {message}", param=param)


def overloaded() -> EngineRefusal:
    """More requests wait than the engine allows."""
    message = "The engine is currently busy and cannot accept more requests. Please try again."
    return EngineRefusal(503, "Service Unavailable", message)


def dead() -> EngineRefusal:
    """The engine core is gone."""
    message = "EngineCore encountered an issue. See stack trace (above) for the root cause."
    return EngineRefusal(500, "InternalServerError", message)


def internal_error() -> EngineRefusal:
    """Something failed while an answer was made."""
    return EngineRefusal(500, "InternalServerError", "Internal server error")


def json_reply(body: Any, status: int = 200) -> Response:
    """Render a JSON reply."""
    return Response(orjson.dumps(body), status, media_type="application/json")


def text_reply(text: str) -> Response:
    """Render the bare text that load and unload answer with: it has no content type."""
    return Response(text)


def event(body: Any) -> bytes:
    """Render one server-sent event."""
    return b"data: " + orjson.dumps(body) + b"\n\n"


DONE = b"data: [DONE]\n\n"
"""The last event of every stream, after an error too."""


def model_card(name: str, root: str, parent: str | None, max_model_len: int | None) -> Any:
    """Describe one served model."""
    return {
        "id": name,
        "object": "model",
        "created": int(time.time()),
        "owned_by": "vllm",
        "root": root,
        "parent": parent,
        "max_model_len": max_model_len,
        "permission": [{"id": f"modelperm-{uuid4().hex}", "object": "model_permission"}],
    }
