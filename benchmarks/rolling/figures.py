"""Figures of rollouts that are taken over HTTP: of two gateways here, or of a stack elsewhere."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from rolling.load import Gateway, loaded
from rolling.operator import Operator

SETTLE_SECONDS = 1.0
"""How long callers go on after each move, so that a late answer is seen."""


async def rollback_times(
    operator: Operator,
    gateways: Sequence[Gateway],
    bundle: dict[str, Any],
    rounds: int,
    *,
    callers: int,
) -> list[tuple[float, float]]:
    """Promote a candidate and take it back, again and again.

    Returns:
        For each round the seconds from the decision to the last request that was still taken by
        the candidate at any gateway, and to the last answer of the candidate.
    """
    times = []
    await operator.until_known(gateways)
    async with loaded(gateways, operator.assistant, callers=callers) as load:
        for _ in range(rounds):
            rollout = await operator.begin(bundle)
            brought = (await operator.until(rollout, "promoted"))["candidate"]
            await _all_serve(load.answers, brought, len(gateways))
            decided = time.monotonic()
            await operator.move(rollout, "rollback")
            await asyncio.sleep(SETTLE_SECONDS)
            late = [seen for seen in load.answers if seen.release == brought]
            taken = max((seen.asked for seen in late), default=decided)
            answered = max((seen.answered for seen in late), default=decided)
            times.append((max(0.0, taken - decided), max(0.0, answered - decided)))
    return times


async def faults(
    operator: Operator,
    gateways: Sequence[Gateway],
    bundles: Mapping[str, dict[str, Any]],
    moves: int,
    *,
    callers: int,
    disturb: Callable[[int], Awaitable[None]] | None = None,
) -> tuple[int, list[str], list[str], int]:
    """Bring releases in and take them back without end while callers ask without pause.

    Args:
        bundles: two releases, by the marker that their adapter answers with.
        disturb: is awaited after each move, with its number.

    Returns:
        How many answers there were, wrong ones, requests that failed, streams that broke off.
    """
    markers = {bundle["adapter"]: marker for marker, bundle in bundles.items()}
    first, second = bundles.values()
    await operator.bind(**first)
    await operator.until_known(gateways)
    async with loaded(gateways, operator.assistant, callers=callers, streams=True) as load:
        for number in range(moves):
            rollout = await operator.begin(second, *(() if number % 2 else (50.0,)))
            await operator.until(rollout, "promoted", "canary")
            if disturb is not None:
                await disturb(number)
            await asyncio.sleep(SETTLE_SECONDS / 2)
            if number % 4 == 2:
                await operator.move(rollout, "promote")
            await operator.move(rollout, "rollback")
    wrong = [f"{seen.adapter} said {seen.text!r}" for seen in load.wrong(markers)]
    failed = [f"{seen.status} after {seen.answered - seen.asked:.2f} s" for seen in load.failed()]
    return len(load.answers), wrong, failed, len(load.broken())


def spread(values: Sequence[float]) -> str:
    """Write the median and the greatest of some seconds, in milliseconds."""
    return f"median {statistics.median(values) * 1000:.0f} ms, greatest {max(values) * 1000:.0f} ms"


async def _all_serve(answers: Sequence[Any], release: str, gateways: int) -> None:
    """Wait until every gateway has answered with a release."""
    serving = set[int]()
    while len(serving) < gateways:
        await asyncio.sleep(0.01)
        serving = {seen.gateway for seen in answers if seen.release == release}
