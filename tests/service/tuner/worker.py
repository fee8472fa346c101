"""A real worker against a gateway under test."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry

from services.chassis.artifacts import ArtifactStore
from services.chassis.http import Peer, open_session
from services.tuner.gateway import JobQueue
from services.tuner.jobs import JobMetrics, Worker
from tests.service.gateway.gateway import GatewayUnderTest


@asynccontextmanager
async def working(gateway: GatewayUnderTest, base: Path, folder: Path) -> AsyncIterator[Worker]:
    """Run a worker against the gateway until the block ends."""
    async with open_session() as session:
        worker = Worker(
            name="w1",
            queue=JobQueue(Peer("gateway", gateway.base_url, session, gateway.secrets["tuner"])),
            store=ArtifactStore(gateway.settings.artifact_store_url),
            base=base,
            end_of_turn="<end_of_turn>",
            data_dir=folder,
            metrics=JobMetrics(CollectorRegistry()),
            threads=1,
            poll_seconds=0.1,
            report_seconds=0.1,
            stop_seconds=5,
        )
        task = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
