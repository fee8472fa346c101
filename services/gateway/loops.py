"""Work that a process repeats beside its requests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog
from prometheus_client import CollectorRegistry, Counter

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Loop:
    """One piece of repeated work."""

    name: str
    seconds: float
    """The pause between two rounds."""
    work: Callable[[], Awaitable[None]]


@contextlib.asynccontextmanager
async def running(loops: Sequence[Loop], metrics: CollectorRegistry) -> AsyncIterator[None]:
    """Run loops beside the block and stop them when it ends."""
    failures = Counter(
        "inkstone_background_failures_total",
        "Rounds of background work that failed.",
        ["loop"],
        registry=metrics,
    )
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_repeat(loop, failures), name=loop.name) for loop in loops]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def _repeat(loop: Loop, failures: Counter) -> None:
    """Run a loop until it is cancelled; a round that fails is logged, counted, and tried again."""
    failed = failures.labels(loop.name)
    while True:
        await asyncio.sleep(loop.seconds)
        try:
            await loop.work()
        except Exception:  # noqa: BLE001 - a loop outlives its rounds
            failed.inc()
            _log.warning("loop.failed", loop=loop.name, exc_info=True)
