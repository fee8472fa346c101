"""A Prometheus that answers queries as it is told, over loopback."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


def vector(*values: str) -> dict[str, Any]:
    """Write what an instant query finds; Prometheus writes values as text."""
    result = [{"metric": {}, "value": [1_700_000_000.1, value]} for value in values]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


@dataclass(slots=True)
class FakePrometheus:
    """What it is asked and what it says."""

    answers: dict[str, Any] = field(default_factory=dict)
    """By query: a body, or bytes as they are. Others find nothing."""
    asked: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    @property
    def app(self) -> Starlette:
        """Serve it."""
        return Starlette(routes=[Route("/prom/api/v1/query", self._query, methods=["POST"])])

    async def _query(self, request: Request) -> Response:
        (query,) = parse_qs((await request.body()).decode())["query"]
        self.asked.append(query)
        self.tokens.append(request.headers.get("authorization", ""))
        answer = self.answers.get(query, vector())
        if isinstance(answer, bytes):
            return Response(answer, media_type="application/json")
        status = 400 if answer.get("status") == "error" else 200
        return JSONResponse(answer, status)
