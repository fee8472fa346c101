"""A real worker against a gateway under test."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from services.chassis.artifacts import ArtifactStore
from services.chassis.http import Peer, open_session
from services.tuner.gateway import JobQueue
from services.tuner.jobs import JobMetrics, Worker
from services.tuner.workshop import Workshop
from tests.service.gateway.gateway import GatewayUnderTest


def workshop(base: Path, folder: Path, **limits: Any) -> Workshop:
    """What a worker of a test trains with, without bounds but those that are given."""
    folder.mkdir(parents=True, exist_ok=True)
    bounds: dict[str, Any] = {
        "max_rows": 1000,
        "max_seconds": 3600.0,
        "max_memory_bytes": 1 << 40,
        "min_free_bytes": 0,
        "memory_look_seconds": 0.05,
        "stop_seconds": 5.0,
    }
    return Workshop(
        base=base,
        base_model="tiny",
        license=None,
        end_of_turn="<end_of_turn>",
        data_dir=folder,
        threads=1,
        **{**bounds, **limits},
    )


@asynccontextmanager
async def working(
    gateway: GatewayUnderTest, base: Path, folder: Path, **limits: Any
) -> AsyncIterator[Worker]:
    """Run a worker against the gateway until the block ends."""
    async with open_session() as session:
        worker = Worker(
            name="w1",
            queue=JobQueue(Peer("gateway", gateway.base_url, session, gateway.secrets["tuner"])),
            store=ArtifactStore(gateway.settings.artifact_store_url),
            shop=workshop(base, folder, **limits),
            metrics=JobMetrics(CollectorRegistry()),
            poll_seconds=0.1,
            report_seconds=0.1,
            deliver_seconds=30,
        )
        task = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
