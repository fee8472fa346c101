"""Rollouts of a candidate that is no different, through the real controller and a fast clock.

Answers are simulated; the split, the ledger, the statistics and the controller are the real ones.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import insert

from services.contracts.assistants import AssistantWrite, Profile
from services.contracts.rollouts import Analysis, Rollout, RolloutWrite, Step
from services.domain.rollouts.split import chosen
from services.gateway.registry import assistants, ledger, rollouts, tables
from services.gateway.registry.changes import Actor, Registry
from services.gateway.registry.ledger import LedgerRow
from tests.service.gateway.gateway import gateway_under_test

TENANT = "default"
ANSWERS_A_SECOND = 8
"""Of each assistant."""
WEIGHTS, HOLD_SECONDS = (20.0, 50.0, 80.0), 15.0
SCORED = 0.2
"""The share of answers that readers score."""
MOST_SECONDS = 600
RATES = {
    "error": 0.02,
    "invalid": 0.05,
    "uncited": 0.05,
    "unsupported": 0.1,
    "abstained": 0.1,
    "slow": 0.1,
    "stalled": 0.1,
    "costly": 0.1,
    "bad": 0.2,
}
"""How often things happen, on both arms alike."""
ANALYSIS = Analysis(
    min_samples=20,
    abstentions=0.0,
    invalid_citations=0.0,
    uncited_answers=0.0,
    unsupported_answers=0.0,
    slow_answers=0.0,
    slow_streams=0.0,
    costly_answers=0.0,
    costly_after_usd=0.01,
)
"""Margins of nothing, so that chance alone decides."""


@dataclass(slots=True)
class Simulation:
    """Many rollouts at once, one for each of as many assistants."""

    registry: Registry
    chance: random.Random
    now: float = 1_000_000.0
    answers: int = 0
    going: dict[str, Rollout] = field(default_factory=dict)
    """By assistant."""

    async def bind(self, name: str) -> None:
        """Let an assistant serve something."""
        async with self.registry.change(Actor(TENANT, "bench")) as change:
            write = AssistantWrite(profile=Profile(system="old"))
            await assistants.bind(change, name, write, expected=None, prompt_mismatch=False)

    async def second(self) -> None:
        """Answer what comes in one second."""
        rows, scores = list[LedgerRow](), list[dict[str, Any]]()
        for name, rollout in self.going.items():
            for _ in range(ANSWERS_A_SECOND):
                row = self._answer(name, rollout)
                rows.append(row)
                if row.status == 200 and self.chance.random() < SCORED:
                    scores.append(self._score(row))
        self.answers += len(rows)
        await ledger.append(self.registry.database, rows)
        if scores:
            async with self.registry.database.append() as connection:
                await connection.execute(insert(tables.feedback), scores)
        self.now += 1

    async def refresh(self) -> Counter[str]:
        """Look where the rollouts stand; those that are over get no more answers."""
        ended: Counter[str] = Counter()
        async with self.registry.database.read() as connection:
            for name, rollout in list(self.going.items()):
                found = await rollouts.find(connection, TENANT, name, rollout.id)
                self.going[name] = found.rollout
                if found.rollout.state not in ("pending", "warming", "canary"):
                    ended[found.rollout.state] += 1
                    del self.going[name]
        return ended

    def _answer(self, name: str, rollout: Rollout) -> LedgerRow:
        happens = {what: self.chance.random() < rate for what, rate in RATES.items()}
        candidate = chosen(rollout.id, str(self.chance.random()), rollout.weight)
        return LedgerRow(
            at=self.now + self.chance.random(),
            tenant=TENANT,
            key_id="bench",
            request_id=uuid4().hex,
            assistant=name,
            release=rollout.candidate if candidate else rollout.stable,
            arm="candidate" if candidate else "stable",
            status=500 if happens["error"] else 200,
            outcome="abstained" if happens["abstained"] else "answered",
            invalid_citations=int(happens["invalid"]),
            passages=3,
            cited=0 if happens["uncited"] else 1,
            support=None if happens["uncited"] else 0.1 if happens["unsupported"] else 0.9,
            first_token_ms=9_000.0 if happens["slow"] else 100.0,
            streamed=True,
            inter_token_ms=900.0 if happens["stalled"] else 20.0,
            cost_usd=0.02 if happens["costly"] else 0.001,
        )

    def _score(self, row: LedgerRow) -> dict[str, Any]:
        return {
            "tenant": TENANT,
            "key_id": row.key_id,
            "request_id": row.request_id,
            "score": 0.0 if self.chance.random() < RATES["bad"] else 1.0,
            "assistant": row.assistant,
            "release": row.release,
            "arm": row.arm,
            "overridden": False,
            "asked_at": row.at,
            "created_at": int(row.at),
        }


async def outcomes(count: int) -> tuple[Counter[str], int]:
    """Roll out so many candidates that are no different; tell how each ended, and the answers."""
    with tempfile.TemporaryDirectory() as folder:
        slow = {"look_seconds": 86_400}
        async with gateway_under_test(Path(folder), rollouts=slow) as gateway:
            resources = gateway.resources
            run = Simulation(resources.registry, random.Random(11))
            run.registry = replace(resources.registry, clock=lambda: run.now)
            controller = replace(resources.controller, registry=run.registry)
            desk = replace(resources.rollouts, registry=run.registry)
            write = RolloutWrite(
                bundle=AssistantWrite(profile=Profile(system="new")),
                steps=[Step(weight=weight, hold_seconds=HOLD_SECONDS) for weight in WEIGHTS],
                analysis=ANALYSIS,
            )
            for number in range(count):
                name = f"a{number}"
                await run.bind(name)
                run.going[name] = await desk.begin(Actor(TENANT, "bench"), name, write, None)
            ended: Counter[str] = Counter()
            started = run.now
            while run.going and run.now - started < MOST_SECONDS:
                await controller.look()
                ended += await run.refresh()
                await run.second()
            ended["still going"] = len(run.going)
            return +ended, run.answers
