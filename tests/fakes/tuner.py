"""A tuner without torch: it claims jobs of a real gateway and hands made-up adapters over."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from services.chassis.artifacts import ArtifactStore
from services.contracts.jobs import (
    ROWS_FILE,
    JobResult,
    Lease,
    LeaseRenewal,
    TrainingEvent,
    TrainingProgress,
)
from services.tuner.gateway import JobQueue
from tests.fakes.adapters import version_of, write_adapter

POLL_SECONDS = 0.02


@dataclass(slots=True)
class FakeTuner:
    """Every adapter answers with its own name as the marker."""

    queue: JobQueue
    store: ArtifactStore
    folder: Path
    made: Callable[[str, Path], None]
    """Is told of each adapter version and where it lies, before the gateway is."""
    failing: dict[str, str] = field(default_factory=dict)
    """Adapters whose training fails, with what is said."""
    holding: bool = False
    """While true, a training that has begun does not end."""
    rows: dict[str, list[str]] = field(default_factory=dict)
    """The lines that each adapter was trained on."""

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[FakeTuner]:
        """Work until the block ends."""
        task = asyncio.create_task(self._work_for_ever())
        try:
            yield self
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _work_for_ever(self) -> None:
        while True:
            lease = await self.queue.claim("fake")
            if lease is None:
                await asyncio.sleep(POLL_SECONDS)
                continue
            await self.queue.finish(lease.job.id, await self._result(lease))

    async def _result(self, lease: Lease) -> JobResult:
        name = lease.job.spec.adapter
        inputs = self.folder / lease.job.id / "input"
        await self.store.fetch_folder(lease.input_key, inputs)
        self.rows[name] = (inputs / ROWS_FILE).read_text("utf-8").strip().split("\n")
        at = TrainingProgress(step=1, of=2, loss=1.0, trained_tokens=10, eta_seconds=1.0)
        told = [TrainingEvent(number=1, at=lease.job.created_at + 2, message="begun")]
        renewal = LeaseRenewal(worker="fake", progress=at, events=told)
        await self.queue.renew(lease.job.id, renewal)
        while self.holding:
            await asyncio.sleep(POLL_SECONDS)
        if why := self.failing.get(name):
            return JobResult(worker="fake", status="failed", error=why, code="training_failed")
        made = write_adapter(self.folder / lease.job.id / "adapter", name)
        self.made(f"{name}@{version_of(made)[:12]}", made)
        await self.store.put_folder(lease.output_key, made)
        return JobResult(worker="fake", status="succeeded", progress=at)
