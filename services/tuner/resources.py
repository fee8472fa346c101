"""Everything that the tuner process owns."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry

from services.chassis.artifacts import ArtifactStore
from services.chassis.http import Deadlines, Peer, open_session
from services.tuner.gateway import JobQueue
from services.tuner.jobs import JobMetrics, Worker
from services.tuner.settings import Settings


@dataclass(frozen=True, slots=True)
class Resources:
    """Opened once, closed in reverse."""

    registry: CollectorRegistry
    """The metrics."""
    worker: Worker
    """The loop that claims jobs."""


@asynccontextmanager
async def open_resources(
    settings: Settings, registry: CollectorRegistry
) -> AsyncIterator[Resources]:
    """Open what the settings name."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(open_session(connections=8))
        peer = Peer(
            "gateway",
            settings.gateway_url,
            session,
            settings.api_key.get_secret_value(),
            Deadlines(total=60.0),
        )
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        yield Resources(
            registry,
            Worker(
                settings.worker,
                JobQueue(peer),
                ArtifactStore(settings.artifacts_url),
                base_folder(settings),
                settings.end_of_turn,
                settings.data_dir,
                JobMetrics(registry),
                settings.threads,
                settings.poll_seconds,
                settings.report_seconds,
                settings.stop_seconds,
            ),
        )


def base_folder(settings: Settings) -> Path:
    """Find the base: a local folder, or the packaged one under the models folder."""
    local = Path(settings.base_model)
    if local.is_dir() or settings.models_dir is None:
        return local
    return settings.models_dir / settings.base_model
