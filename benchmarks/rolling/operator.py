"""An operator at the gateway's own routes, as any tool would use them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from rolling.load import Gateway

DEADLINE_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Operator:
    """Moves rollouts of one assistant."""

    session: aiohttp.ClientSession
    gateway: Gateway
    assistant: str
    look_seconds: float = 0.02
    """How often a rollout is looked at."""

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """Call an admin route of the assistant.

        Raises:
            RuntimeError: it is refused.
        """
        url = f"{self.gateway.url}/admin/assistants/{self.assistant}{path}"
        headers = {"Authorization": f"Bearer {self.gateway.key}"}
        async with self.session.request(method, url, json=body, headers=headers) as reply:
            told = await reply.json()
            if reply.status >= 400:
                raise RuntimeError(f"{method} {path}: {told}")
            return told

    async def bind(self, **bundle: Any) -> None:
        """Bind the assistant."""
        await self.call("PUT", "", bundle)

    async def until_known(self, gateways: Sequence[Gateway]) -> None:
        """Wait until every gateway knows the assistant."""
        for gateway in gateways:
            url = f"{gateway.url}/v1/models/{self.assistant}"
            headers = {"Authorization": f"Bearer {gateway.key}"}
            while True:
                async with self.session.get(url, headers=headers) as reply:
                    if reply.status == 200:
                        break
                await asyncio.sleep(0.02)

    async def begin(self, bundle: dict[str, Any], *weights: float, **fields: Any) -> str:
        """Begin a rollout by time alone; without weights it promotes at once."""
        steps = [{"weight": weight, "hold_seconds": 3600} for weight in weights]
        body = {
            "bundle": bundle,
            "strategy": "canary" if weights else "immediate",
            "steps": steps,
            "analysis": None,
            "allow_without_evidence": True,
            **fields,
        }
        return str((await self.call("POST", "/rollouts", body))["id"])

    async def until(self, rollout: str, *states: str) -> dict[str, Any]:
        """Wait until a rollout stands in one of these states."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            seen: dict[str, Any] = await self.call("GET", f"/rollouts/{rollout}")
            if seen["state"] in states:
                return seen
            if time.monotonic() > deadline:
                raise RuntimeError(f"{rollout} is {seen['state']}: {seen['reason']}")
            await asyncio.sleep(self.look_seconds)

    async def move(self, rollout: str, action: str) -> None:
        """Move a rollout by hand."""
        await self.call("POST", f"/rollouts/{rollout}/{action}")
