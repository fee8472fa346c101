"""How much shadow traffic delays callers: the same load with and without it, in turns.

python benchmarks/shadow_delay.py [--rounds 4] [--seconds 20]

The engine is the tests' stand-in with room for two answers at once, of 10 tokens of 20 ms each;
what does not fit waits, by priority. Callers come at random moments, the same on every way:

- `off`: no copies;
- `idle only`: every request is copied; a copy runs beside nobody, which is the default;
- `beside one`: a copy may run beside one caller (`callers_beside` 1);
- `unbounded`: copies are sent as they come, as many at once as there are; nothing but the engine's
  priority protects the callers.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from tests.fakes.agent import eventually
from tests.fakes.engine import FakeEngine
from tests.service.gateway.chat_stack import ENGINE_KEY, ChatStack, chat_stack

ROLLOUTS = "/admin/assistants/support/rollouts"
SEQUENCES = 2
TOKENS = 10
TOKEN_SECONDS = 0.02
LOADS = (0.3, 0.7)
"""Callers' share of what the engine can do."""
FOREVER = 86_400
WAYS: dict[str, dict[str, Any] | None] = {
    "off": None,
    "idle only": {},
    "beside one": {"callers_beside": 1},
    "unbounded": {"callers_beside": 10_000, "concurrent": 32, "look_seconds": 0.01},
}


@dataclass(slots=True)
class Way:
    """One way, and what callers and copies met on it."""

    times: list[float] = field(default_factory=list)
    copies: float = 0.0
    broken_off: float = 0.0


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    asyncio.run(_measure(options.rounds, options.seconds))


async def _measure(rounds: int, seconds: float) -> None:
    columns = ("load", "way", "asked", "median", "p95", "copies", "broken off")
    print("{:>5} {:>10} {:>6} {:>15} {:>15} {:>7} {:>11}".format(*columns))
    for load in LOADS:
        ways = {name: Way() for name in WAYS}
        for number in range(rounds):
            for name, way in ways.items():
                await _run(way, WAYS[name], load, seconds, seed=number)
        _print(load, ways)


async def _run(
    way: Way, shadow: dict[str, Any] | None, load: float, seconds: float, *, seed: int
) -> None:
    async with _stack(shadow) as stack:
        way.times += await _callers(stack, load, seconds, random.Random(seed))
        way.copies += await stack.metric("shadow_answers_total", status="200")
        way.broken_off += await stack.metric("shadow_dropped_total", reason="callers")


@asynccontextmanager
async def _stack(shadow: dict[str, Any] | None) -> AsyncIterator[ChatStack]:
    engine = FakeEngine(api_key=ENGINE_KEY, max_num_seqs=SEQUENCES)
    engine.reply = lambda _: "word " * TOKENS
    engine.knobs.first_token_delay_seconds = engine.knobs.token_delay_seconds = TOKEN_SECONDS
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "rollouts": {"look_seconds": 0.05},
            "shadow": shadow or {},
        }
        async with chat_stack(Path(folder), engine, **settings) as stack:
            await stack.bind()
            if shadow is not None:
                await _shadowing(stack)
            yield stack


async def _shadowing(stack: ChatStack) -> None:
    body = {
        "bundle": {"profile": {"system": "Answer politely."}},
        "strategy": "shadow_canary",
        "shadow": {"percent": 100, "min_samples": 1_000_000, "max_tokens_per_hour": 10**9},
    }
    begun = await stack.gateway.admin.post(ROLLOUTS, json=body)
    assert begun.status == 201, begun
    await eventually(lambda: bool(stack.gateway.resources.snapshot.unseen))


async def _callers(
    stack: ChatStack, load: float, seconds: float, chance: random.Random
) -> list[float]:
    """Let callers come at random moments, whether or not those before them are answered."""
    rate = load * SEQUENCES / (TOKENS * TOKEN_SECONDS)
    times: list[float] = []

    async def ask() -> None:
        began = time.perf_counter()
        reply = await stack.ask()
        assert reply.status == 200, reply
        times.append(time.perf_counter() - began)

    end = time.monotonic() + seconds
    async with asyncio.TaskGroup() as group:
        while time.monotonic() < end:
            group.create_task(ask())
            await asyncio.sleep(chance.expovariate(rate))
    return times


def _print(load: float, ways: dict[str, Way]) -> None:
    base = ways["off"]
    for name, way in ways.items():
        cells = []
        for share in (0.5, 0.95):
            value, before = _quantile(way.times, share), _quantile(base.times, share)
            cells.append(f"{value * 1000:6.0f} ms {value / before:4.2f}x")
        print(
            f"{load:5.0%} {name:>10} {len(way.times):6} {cells[0]:>15} {cells[1]:>15} "
            f"{way.copies:7.0f} {way.broken_off:11.0f}"
        )


def _quantile(values: list[float], share: float) -> float:
    return statistics.quantiles(values, n=100)[round(share * 100) - 1]


if __name__ == "__main__":
    main()
