"""Somebody else's OpenAI-compatible endpoint: a teacher or a judge that says what a test scripts.

teacher = FakeCompletions(reply=lambda asked: "14 days [1].")
async with running(teacher.app) as url:
    ...
teacher.requests[-1]["messages"]
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


@dataclass(frozen=True, slots=True)
class Failing:
    """One request that fails."""

    status: int
    message: str = "told to fail"
    code: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Said:
    """An answer whose envelope matters as well."""

    text: str | None
    finish_reason: str = "stop"
    refusal: str | None = None


@dataclass(slots=True)
class FakeCompletions:
    """The fake: what it was asked, and what it is told to do."""

    reply: Callable[[dict[str, Any]], str | Said | Failing]
    """Makes the answer to a request's body."""
    api_key: str | None = None
    """What it wants to be given."""
    failing: list[Failing] = field(default_factory=list)
    """What the next requests get, in order, before anything is answered."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    """The bodies that were answered."""
    tokens: tuple[int, int] = (100, 20)
    """Of a prompt and of an answer, as it bills them."""
    hold: asyncio.Event | None = None
    """Answers wait for it."""
    at_once: int = 0
    """How many requests are under way."""
    most_at_once: int = 0

    @property
    def app(self) -> Starlette:
        """The fake as an app, to be served by `loopback.running`."""
        return Starlette(routes=[Route("/v1/chat/completions", self._complete, methods=["POST"])])

    async def _complete(self, request: Request) -> Response:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self._answered(request)
        finally:
            self.at_once -= 1

    async def _answered(self, request: Request) -> Response:
        body = orjson.loads(await request.body())
        if self.api_key and request.headers.get("authorization") != f"Bearer {self.api_key}":
            return _refusal(Failing(401, "Incorrect API key provided", "invalid_api_key"))
        if self.failing:
            return _refusal(self.failing.pop(0))
        if self.hold is not None:
            await self.hold.wait()
        said = self.reply(body)
        if isinstance(said, Failing):
            return _refusal(said)
        if isinstance(said, str):
            said = Said(said)
        self.requests.append(body)
        prompt, completion = self.tokens
        message = {"role": "assistant", "content": said.text, "refusal": said.refusal}
        choice = {"index": 0, "message": message, "finish_reason": said.finish_reason}
        return JSONResponse(
            {
                "id": f"chatcmpl-{len(self.requests)}",
                "object": "chat.completion",
                "created": 1,
                "model": f"{body['model']}-2026-01-01",
                "choices": [choice],
                "usage": {
                    "prompt_tokens": prompt,
                    "completion_tokens": completion,
                    "total_tokens": prompt + completion,
                },
            }
        )


def _refusal(failing: Failing) -> Response:
    error = {
        "message": failing.message,
        "type": "invalid_request_error",
        "param": None,
        "code": failing.code,
    }
    return JSONResponse({"error": error}, failing.status, headers=failing.headers)
