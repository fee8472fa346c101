"""Background work goes on whatever happens to one of its rounds."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from services.gateway.loops import Loop, running
from tests.fakes.agent import eventually

pytestmark = pytest.mark.anyio


def failures(metrics: CollectorRegistry, loop: str) -> float | None:
    return metrics.get_sample_value("inkstone_background_failures_total", {"loop": loop})


async def test_a_round_that_fails_is_counted_and_the_next_one_runs() -> None:
    metrics, rounds = CollectorRegistry(), [0]

    async def work() -> None:
        rounds[0] += 1
        if rounds[0] <= 3:
            raise RuntimeError("on purpose")

    async with running([Loop("work", 0.001, work)], metrics):
        assert failures(metrics, "work") == 0
        await eventually(lambda: rounds[0] >= 6)
        assert failures(metrics, "work") == 3


async def test_one_loop_does_not_wait_for_another() -> None:
    rounds = [0]

    async def stuck() -> None:
        await asyncio.Event().wait()

    async def work() -> None:
        rounds[0] += 1

    loops = [Loop("stuck", 0.001, stuck), Loop("work", 0.001, work)]
    async with running(loops, CollectorRegistry()):
        await eventually(lambda: rounds[0] >= 3)


async def test_loops_end_with_the_block() -> None:
    rounds = [0]

    async def work() -> None:
        rounds[0] += 1

    async with running([Loop("work", 0.001, work)], CollectorRegistry()):
        await eventually(lambda: rounds[0] >= 1)
    after = rounds[0]
    await asyncio.sleep(0.02)
    assert rounds[0] == after
