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
from services.tuner.memory import default_limit
from services.tuner.recipe import PACKAGED_BASE, PACKAGED_FOLDER
from services.tuner.settings import Settings
from services.tuner.workshop import Workshop


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
                _workshop(settings),
                JobMetrics(registry),
                settings.poll_seconds,
                settings.report_seconds,
                settings.deliver_seconds,
            ),
        )


def _workshop(settings: Settings) -> Workshop:
    base = base_folder(settings)
    packaged = settings.base_model == PACKAGED_FOLDER
    return Workshop(
        base=base,
        base_model=settings.base_name or (PACKAGED_BASE if packaged else base.name),
        license=settings.base_license,
        end_of_turn=settings.end_of_turn,
        data_dir=settings.data_dir,
        threads=settings.threads,
        max_rows=settings.max_rows,
        max_seconds=settings.max_training_seconds,
        max_memory_bytes=settings.max_memory_bytes or default_limit(),
        min_free_bytes=settings.min_free_bytes,
        memory_look_seconds=settings.memory_look_seconds,
        stop_seconds=settings.stop_seconds,
    )


def base_folder(settings: Settings) -> Path:
    """Find the base: a local folder, or the packaged one under the models folder."""
    local = Path(settings.base_model)
    if local.is_dir() or settings.models_dir is None:
        return local
    return settings.models_dir / settings.base_model
