"""How much shadow traffic delays callers of a running stack: with and without it, in turns."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from rolling.load import Gateway, Seen, asked
from rolling.operator import Operator

DROPPED, ANSWERED = "inkstone_shadow_dropped_total", "inkstone_shadow_answers_total"


@dataclass(slots=True)
class Turns:
    """What callers and copies met, in all turns of one kind."""

    answers: list[Seen] = field(default_factory=list)
    copies: float = 0.0
    dropped: float = 0.0

    def seconds(self) -> list[float]:
        """How long each answer took, in order."""
        return sorted(seen.answered - seen.asked for seen in self.answers if seen.status == 200)

    def failed(self) -> int:
        """Count requests that were not answered."""
        return sum(seen.status != 200 for seen in self.answers)


@dataclass(frozen=True, slots=True)
class Trial:
    """How callers come."""

    rounds: int
    """Each has a turn without copies and one with them."""
    turn_seconds: float
    load: float
    """The share of the time in which one is answered, by what an answer takes alone."""


async def delays(
    operator: Operator, candidate: dict[str, Any], questions: Sequence[str], trial: Trial
) -> tuple[Turns, Turns]:
    """Ask at random moments, without and with every request copied.

    Returns:
        The turns without copies, and those with them; both hear the same questions.
    """
    off, on = Turns(), Turns()
    session, gateway = operator.session, operator.gateway
    alone = await _alone(session, operator, questions[:8])
    for number in range(trial.rounds):
        for turns in (off, on) if number % 2 else (on, off):
            rollout = await _shadowed(operator, candidate) if turns is on else None
            before = await _copies(session, gateway)
            chance = random.Random(number)
            turns.answers += await _turn(
                session,
                operator,
                questions,
                chance,
                seconds=trial.turn_seconds,
                rate=trial.load / alone,
            )
            await asyncio.sleep(2 * alone)
            after = await _copies(session, gateway)
            turns.copies += after[0] - before[0]
            turns.dropped += after[1] - before[1]
            if rollout is not None:
                await operator.move(rollout, "abort")
    return off, on


async def _shadowed(operator: Operator, candidate: dict[str, Any]) -> str:
    shadow = {"percent": 100, "min_samples": 1_000_000, "max_tokens_per_hour": 10**9}
    rollout = await operator.begin(
        candidate, 100.0, strategy="shadow_canary", shadow=shadow, analysis={}
    )
    await operator.until(rollout, "shadowing")
    return rollout


async def _alone(
    session: aiohttp.ClientSession, operator: Operator, questions: Sequence[str]
) -> float:
    seen = [await asked(session, operator.gateway, _body(operator, q)) for q in questions]
    return statistics.mean(one.answered - one.asked for one in seen)


async def _turn(
    session: aiohttp.ClientSession,
    operator: Operator,
    questions: Sequence[str],
    chance: random.Random,
    *,
    seconds: float,
    rate: float,
) -> list[Seen]:
    """Let callers come at random moments, `rate` of them a second."""
    ends, calls = time.monotonic() + seconds, list[asyncio.Task[Seen]]()
    async with asyncio.TaskGroup() as group:
        while True:
            await asyncio.sleep(chance.expovariate(rate))
            if time.monotonic() > ends:
                break
            body = _body(operator, chance.choice(questions))
            calls.append(group.create_task(asked(session, operator.gateway, body)))
    return [call.result() for call in calls]


def _body(operator: Operator, question: str) -> dict[str, Any]:
    return {
        "model": operator.assistant,
        "messages": [{"role": "user", "content": question}],
    }


async def _copies(session: aiohttp.ClientSession, gateway: Gateway) -> tuple[float, float]:
    """Read how many copies the gateway has had answered, and how many it dropped."""
    async with session.get(f"{gateway.url}/metrics") as reply:
        lines = (await reply.text()).splitlines()

    def total(name: str) -> float:
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))

    return total(ANSWERED), total(DROPPED)
