"""The gateway as an agent sees it: takes heartbeats, gives orders."""

from __future__ import annotations

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from services.contracts.adapters import DesiredAdapter, ReplicaOrders, ReplicaReport


class FakeGateway:
    """The fake: what it orders, and what it was told.

    Attributes:
        desired: the adapters that every heartbeat is answered with.
        reports: every heartbeat in order.
        failing_with: answer heartbeats with this status instead.
    """

    def __init__(self, *, api_key: str = "agent-key", heartbeat_seconds: float = 0.02) -> None:
        self.desired: list[DesiredAdapter] = []
        self.reports: list[ReplicaReport] = []
        self.failing_with: int | None = None
        self._api_key = api_key
        self._heartbeat_seconds = heartbeat_seconds
        route = Route("/internal/replicas/heartbeat", self._heartbeat, methods=["POST"])
        self.app: ASGIApp = Starlette(routes=[route])

    @property
    def latest(self) -> ReplicaReport | None:
        """The last heartbeat, if there was one."""
        return self.reports[-1] if self.reports else None

    async def _heartbeat(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {self._api_key}":
            return _error(401, "invalid_api_key")
        if self.failing_with is not None:
            return _error(self.failing_with, "told_to_fail")
        self.reports.append(ReplicaReport.model_validate(orjson.loads(await request.body())))
        orders = ReplicaOrders(desired=self.desired, heartbeat_seconds=self._heartbeat_seconds)
        return JSONResponse(orders.model_dump(mode="json"))


def _error(status: int, code: str) -> Response:
    error = {"message": code, "type": "invalid_request_error", "param": None, "code": code}
    return JSONResponse({"error": error}, status)
