"""Replay: the cases of a set supply traffic where callers are few."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.engine_generation import Call
from tests.fakes.engine_replies import EngineRefusal
from tests.service.gateway.chat_stack import ChatStack, chat_stack
from tests.service.gateway.rollout_calls import begin, begun, comes_to, seen, two_versions

pytestmark = pytest.mark.anyio

QUICK = {"look_seconds": 0.05}
REPLAY = {"cases": "golden", "per_minute": 600}


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[ChatStack]:
    async with chat_stack(tmp_path, rollouts=QUICK, evaluations=QUICK) as running:
        cases = [{"id": str(n), "question": f"질문 {n}?", "expected": "네"} for n in range(3)]
        lines = "\n".join(map(json.dumps, cases)).encode()
        put = await running.gateway.admin.put("/admin/evaluation-sets/golden", data=lines)
        assert put.status == 200, put
        yield running


def analysis(**fields: Any) -> dict[str, Any]:
    return {"min_samples": 4, "replay": REPLAY, **fields}


async def test_a_canary_without_callers_comes_to_its_end_by_replay(stack: ChatStack) -> None:
    _, new = await two_versions(stack)
    id_ = await begun(stack, new, 5, hold_seconds=0, analysis=analysis())
    await comes_to(stack, id_, "promoted")
    (errors,) = [one for one in (await seen(stack, id_))["checks"] if one["check"] == "errors"]
    assert errors["stable"]["trials"] >= 4
    assert errors["candidate"]["trials"] >= 4
    rows = await stack.ledger(8)
    assert {row["arm"] for row in rows} == {"stable", "candidate"}
    assert len({row["request_id"] for row in rows}) == len(rows)
    asked = Counter(call.body["messages"][-1]["content"] for call in stack.engine.generations())
    assert set(asked) == {"질문 0?", "질문 1?", "질문 2?"}


async def test_a_candidate_that_fails_is_found_out_without_callers(stack: ChatStack) -> None:
    _, new = await two_versions(stack)

    def reply(call: Call) -> str:
        if call.marker == "new":
            raise EngineRefusal(500, "InternalServerError", "the adapter broke the engine")
        return "네"

    stack.engine.reply = reply
    id_ = await begun(stack, new, 5, analysis=analysis(min_samples=1000))
    ended = await comes_to(stack, id_, "rolled_back")
    assert "worse at errors" in ended["reason"]


async def test_nothing_is_replayed_before_the_canary_and_after_it(stack: ChatStack) -> None:
    _, new = await two_versions(stack)
    stack.agents[0].proves = False
    id_ = await begun(stack, new, 5, hold_seconds=0, analysis=analysis())
    await comes_to(stack, id_, "warming")
    await stack.gateway.resources.evaluations.replayer.look()
    assert stack.engine.generations() == []
    stack.agents[0].proves = True
    await comes_to(stack, id_, "promoted")
    made = len(stack.engine.generations())
    for _ in range(3):
        await stack.gateway.resources.evaluations.replayer.look()
    assert len(stack.engine.generations()) <= made + 2


async def test_a_set_that_is_not_there_is_refused_before_anything_begins(
    stack: ChatStack,
) -> None:
    _, new = await two_versions(stack)
    unknown = analysis(replay={"cases": "nowhere"})
    refused = await begin(stack, new, 5, analysis=unknown)
    assert (refused.status, refused.code) == (404, "evaluation_set_not_found")
    assert (await stack.gateway.admin.get("/admin/assistants/support/rollouts")).body["data"] == []
