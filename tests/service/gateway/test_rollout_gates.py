"""Gates: no candidate meets a caller before its evaluation has spoken for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from services.chassis.errors import NotFound
from services.contracts.rollouts import Gate, Rollout, RolloutWrite
from services.domain.rollouts.states import Event
from services.gateway.registry.changes import Actor, Change
from services.gateway.registry.rollouts import Standing
from services.gateway.rollouts.deciding import Decision
from tests.service.gateway.chat_stack import ChatStack, chat_stack
from tests.service.gateway.rollout_calls import FOREVER, act, begin, seen, two_versions

pytestmark = pytest.mark.anyio


@dataclass
class Examiner:
    """Gives the verdict that it is told, and knows one set of cases."""

    says: Decision | None = None
    asked: list[str] = field(default_factory=list)

    async def check(self, change: Change, gate: Gate) -> None:
        if gate.cases != "golden":
            raise NotFound(f"There is no evaluation set {gate.cases!r}.", code="set_not_found")

    async def verdict(self, standing: Standing) -> Decision | None:
        self.asked.append(standing.rollout.id)
        return self.says


@dataclass(frozen=True)
class Gated:
    """A gateway whose rollouts move when a test says so, before an examiner."""

    stack: ChatStack
    examiner: Examiner

    async def begin(self, **fields: Any) -> Rollout:
        _, new = await two_versions(self.stack)
        write = RolloutWrite.model_validate(
            {
                "bundle": {"adapter": new},
                "steps": [{"weight": 100, "hold_seconds": FOREVER}],
                "gate": {"cases": "golden", "max_duration_seconds": FOREVER},
                **fields,
            }
        )
        resources = self.stack.gateway.resources
        desk = replace(resources.rollouts, gatekeeper=self.examiner)
        return await desk.begin(Actor("default", "tester"), "support", write, None)

    async def looks(self, id_: str, times: int = 1) -> dict[str, Any]:
        controller = replace(self.stack.gateway.resources.controller, gatekeeper=self.examiner)
        for _ in range(times):
            await self.stack.beat()
            await controller.look()
        return await seen(self.stack, id_)

    async def gating(self, **fields: Any) -> str:
        begun = await self.begin(**fields)
        for _ in range(100):
            if (await self.looks(begun.id))["state"] == "gating":
                return begun.id
        raise AssertionError("it never came to its gate")


@pytest.fixture
async def gated(tmp_path: Path) -> AsyncIterator[Gated]:
    async with chat_stack(tmp_path, rollouts={"look_seconds": FOREVER}) as stack:
        yield Gated(stack, Examiner())


async def test_nobody_meets_a_candidate_before_it_has_passed(gated: Gated) -> None:
    id_ = await gated.gating()
    assert (await gated.looks(id_, 3))["state"] == "gating"
    assert gated.examiner.asked == [id_] * 3
    assert (await gated.stack.ask()).body["inkstone"]["arm"] == "stable"
    refused = await act(gated.stack, id_, "promote")
    assert (refused.status, refused.code) == (409, "rollout_state")
    gated.examiner.says = Decision(Event.ADOPT, "it passes 40 of 40 cases")
    passed = await gated.looks(id_)
    assert (passed["state"], passed["reason"]) == ("canary", "it passes 40 of 40 cases")
    assert (await gated.stack.ask()).body["inkstone"]["arm"] == "candidate"


async def test_a_candidate_that_is_rejected_has_failed(gated: Gated) -> None:
    id_ = await gated.gating()
    gated.examiner.says = Decision(Event.REJECT, "공손하지 않습니다")
    failed = await gated.looks(id_)
    assert (failed["state"], failed["reason"]) == ("failed", "공손하지 않습니다")
    assert (await gated.stack.ask()).body["inkstone"]["release"] == "support/1"


async def test_an_immediate_rollout_passes_its_gate_too(gated: Gated) -> None:
    id_ = await gated.gating(strategy="immediate", steps=[])
    gated.examiner.says = Decision(Event.ADOPT, "it passes")
    assert (await gated.looks(id_))["state"] == "promoted"


async def test_an_evaluation_that_takes_too_long_is_inconclusive(gated: Gated) -> None:
    gate = {"cases": "golden", "max_duration_seconds": 0.000_001}
    id_ = await gated.gating(gate=gate)
    held = await gated.looks(id_)
    assert held["state"] == "inconclusive"
    assert "golden" in held["reason"]
    assert (await act(gated.stack, id_, "resume")).body["state"] == "gating"


async def test_a_gate_that_cannot_be_held_is_refused_before_anything_begins(gated: Gated) -> None:
    with pytest.raises(NotFound):
        await gated.begin(gate={"cases": "unknown"})
    refused = await begin(gated.stack, None, 50, gate={"cases": "golden"})
    assert (refused.status, refused.code) == (404, "evaluation_set_not_found")
