"""The agent's heartbeat: what this replica is and holds, and what the gateway answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from services.chassis.http import Peer
from services.contracts.adapters import ReplicaOrders, ReplicaReport
from services.generator.adapters.reconciler import Reconciler
from services.generator.base_model import BaseModel
from services.generator.engine_state import EngineState
from services.generator.settings import Settings

PATH = "/internal/replicas/heartbeat"


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Reports to one gateway."""

    gateway: Peer
    settings: Settings
    state: EngineState
    reconciler: Reconciler

    async def beat(self) -> float | None:
        """Report, and take the orders; returns the pause that the gateway asks for.

        Nothing is sent, and None returned, until the base is known: before that there is nothing
        that the gateway could be told.

        Raises:
            ServiceError: when the gateway cannot be reached or refuses the report.
        """
        if self.state.base is None or not self.state.url:
            return None
        body = self.report(self.state.base).model_dump(mode="json")
        orders = ReplicaOrders.received(await self.gateway.json("POST", PATH, body=body))
        self.reconciler.order(orders.desired)
        return orders.heartbeat_seconds

    def report(self, base: BaseModel) -> ReplicaReport:
        """Say what this replica is and holds."""
        settings, live = self.settings, self.state.live
        return ReplicaReport(
            replica=settings.replica,
            pool=settings.pool,
            endpoint=settings.advertised_engine_url or self.state.url,
            engine=self._standing(),
            engine_started_at=live.started_at if live else None,
            base_model=live.engine.base_model if live else base.name,
            base_fingerprint=base.fingerprint,
            chat_template_hash=base.chat_template_hash,
            max_model_len=live.max_model_len if live else settings.engine.max_model_len,
            max_loras=settings.max_loras,
            max_cpu_loras=settings.max_cpu_loras,
            max_lora_rank=settings.max_lora_rank,
            adapters=self.reconciler.report(),
        )

    def _standing(self) -> Literal["starting", "ready", "down"]:
        """Say `ready` only once the engine holds what the orders pin to it."""
        if self.state.live is None:
            return "down" if self.state.liveness == "down" else "starting"
        settled = self.reconciler.has_met(self.state.live.engine) and self.reconciler.is_settled
        return "ready" if settled else "starting"
