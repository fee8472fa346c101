"""Everything that the agent's process owns."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from services.chassis.artifacts import ArtifactStore
from services.chassis.http import Deadlines, Peer, open_session
from services.generator.adapters.local_cache import LocalCache
from services.generator.adapters.reconciler import Patience, Reconciler
from services.generator.engine_state import EngineState
from services.generator.heartbeat import Heartbeat
from services.generator.metrics import Metrics
from services.generator.settings import Settings
from services.generator.supervision import EngineSupervisor

CONNECTIONS = 32
"""Sockets to the engine and the gateway together."""


@dataclass(frozen=True, slots=True)
class Resources:
    """The agent's parts."""

    metrics: Metrics
    state: EngineState
    supervisor: EngineSupervisor
    reconciler: Reconciler
    heartbeat: Heartbeat

    def missing(self) -> dict[str, str]:
        """Name what keeps the replica from being ready."""
        live = self.state.live
        if live is None:
            return {"engine": self.state.phase}
        if not self.reconciler.has_orders:
            return {"gateway": "no orders yet"}
        if not self.reconciler.has_met(live.engine):
            return {"engine": "just started"}
        return dict.fromkeys(self.reconciler.unproven(), "not proven yet")


@contextlib.asynccontextmanager
async def open_resources(settings: Settings, metrics: Metrics) -> AsyncIterator[Resources]:
    """Open what the agent owns; it closes in reverse order."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(open_session(connections=CONNECTIONS))
        state, reconciler = EngineState(), _reconciler(settings, metrics)
        patience = settings.heartbeat_timeout_seconds
        gateway = Peer(
            "gateway",
            settings.gateway_url.rstrip("/"),
            session,
            settings.api_key.get_secret_value(),
            Deadlines(connect=patience, read=patience, total=patience),
        )
        yield Resources(
            metrics=metrics,
            state=state,
            supervisor=EngineSupervisor(settings, session, state, metrics),
            reconciler=reconciler,
            heartbeat=Heartbeat(gateway, settings, state, reconciler),
        )


def _reconciler(settings: Settings, metrics: Metrics) -> Reconciler:
    options = settings.adapters
    cache = LocalCache(
        (settings.data_dir / "adapters").resolve(),
        ArtifactStore(settings.artifacts_url),
        settings.max_lora_rank,
    )
    patience = Patience(
        retry_delay=options.retry_delay_seconds,
        max_retry_delay=options.max_retry_delay_seconds,
        drain_grace=options.drain_grace_seconds,
        file_grace=options.file_grace_seconds,
    )
    return Reconciler(cache, patience, options.canary_threshold, metrics)
