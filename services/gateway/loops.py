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
        tasks = [
            group.create_task(_repeat(loop, failures.labels(loop.name)), name=loop.name)
            for loop in loops
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def _repeat(loop: Loop, failed: Counter) -> None:
    """Run a loop until it is cancelled; a round that fails is counted, and tried again.

    Only the first failure in a row is logged with its cause, and the recovery after the last.
    """
    in_a_row = 0
    while True:
        await asyncio.sleep(loop.seconds)
        try:
            await loop.work()
        except Exception:  # noqa: BLE001 - a loop outlives its rounds
            failed.inc()
            in_a_row += 1
            if in_a_row == 1:
                _log.warning("loop.failing", loop=loop.name, exc_info=True)
        else:
            if in_a_row:
                _log.info("loop.recovered", loop=loop.name, failures=in_a_row)
            in_a_row = 0
