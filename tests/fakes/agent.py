"""An agent without an engine: it reports to a real gateway and proves what it is told to hold."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from services.contracts.adapters import (
    DesiredAdapter,
    ReplicaAdapter,
    ReplicaAdapterState,
    ReplicaOrders,
    ReplicaReport,
)

Post = Callable[[dict[str, Any]], Awaitable[Any]]
"""Sends a heartbeat and returns the decoded orders."""


@dataclass(slots=True)
class FakeAgent:
    """One replica's state; each `beat` reports it and takes orders."""

    post: Post
    name: str = "replica-1"
    endpoint: str = "http://127.0.0.1:9"
    engine: Literal["starting", "ready", "down"] = "ready"
    base_model: str = "base"
    base_fingerprint: str = "ba5e00000000"
    chat_template_hash: str = "c0ffee000000"
    max_loras: int = 4
    max_cpu_loras: int = 8
    max_lora_rank: int = 32
    failing: dict[str, str] = field(default_factory=dict)
    """Versions that it cannot serve, with the reason that it gives."""
    holding_back: bool = False
    """While true, what is desired stays `loading`."""
    adapters: dict[str, ReplicaAdapter] = field(default_factory=dict)
    orders: list[DesiredAdapter] = field(default_factory=list)

    @property
    def report(self) -> ReplicaReport:
        """What it says of itself now."""
        return ReplicaReport(
            replica=self.name,
            endpoint=self.endpoint,
            engine=self.engine,
            engine_started_at=1.0,
            base_model=self.base_model,
            base_fingerprint=self.base_fingerprint,
            chat_template_hash=self.chat_template_hash,
            max_model_len=2048,
            max_loras=self.max_loras,
            max_cpu_loras=self.max_cpu_loras,
            max_lora_rank=self.max_lora_rank,
            adapters=self.adapters,
        )

    async def beat(self) -> list[DesiredAdapter]:
        """Report, take orders, and do what they say until the next beat."""
        orders = ReplicaOrders.model_validate(await self.post(self.report.model_dump(mode="json")))
        self.orders = orders.desired
        self.adapters = {order.id: self._state(order.id) for order in orders.desired}
        return self.orders

    @contextlib.asynccontextmanager
    async def beating(self, seconds: float = 0.02) -> AsyncIterator[FakeAgent]:
        """Beat beside the block; one round is done before it begins."""
        await self.beat()
        task = asyncio.create_task(self._beat_for_ever(seconds))
        try:
            yield self
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _state(self, version: str) -> ReplicaAdapter:
        if version in self.failing:
            return ReplicaAdapter(state=ReplicaAdapterState.FAILED, reason=self.failing[version])
        if self.holding_back:
            return self.adapters.get(version, ReplicaAdapter(state=ReplicaAdapterState.LOADING))
        return ReplicaAdapter(state=ReplicaAdapterState.PROVEN, canary_shift=1.0)

    async def _beat_for_ever(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            await self.beat()


async def eventually(condition: Callable[[], Any], *, seconds: float = 60.0) -> None:
    """Wait until a condition holds; fail when it does not within the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        held = condition()
        if held if not asyncio.iscoroutine(held) else await held:
            return
        if time.monotonic() > deadline:
            raise AssertionError("the condition did not come to hold")
        await asyncio.sleep(0.005)
