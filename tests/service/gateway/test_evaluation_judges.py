"""Evaluations of the gateway whose cases ask for a judge or a style."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.domain.evaluation.style_training import train_styles
from tests.fakes.completions import Failing, FakeCompletions
from tests.fakes.loopback import running
from tests.service.gateway.chat_stack import ChatStack, chat_stack
from tests.service.gateway.rollout_calls import two_versions
from tests.service.gateway.test_evaluations import SETTINGS, evaluated, put
from tests.unit.domain.evaluation.test_styles import ROWS

pytestmark = pytest.mark.anyio

SAID = {"old": "내일 될 거야!", "new": "내일 처리됩니다."}


def score(body: dict[str, Any]) -> str:
    material = json.loads(body["messages"][-1]["content"])
    return json.dumps({"reason": "tone", "score": 5 if "됩니다" in material["answer"] else 1})


@pytest.fixture
async def judge() -> AsyncIterator[tuple[FakeCompletions, str]]:
    fake = FakeCompletions(score, api_key="judges-key")
    async with running(fake.app) as url:
        yield fake, url


@pytest.fixture
async def stack(tmp_path: Path, judge: tuple[FakeCompletions, str]) -> AsyncIterator[ChatStack]:
    style = tmp_path / "style.json"
    style.write_text(train_styles(ROWS).model_dump_json(), "utf-8")
    named = {
        "judge_url": judge[1],
        "judge_model": "wise",
        "judge_api_key": "judges-key",
        "style_model": style,
    }
    settings = {**SETTINGS, "evaluations": {**SETTINGS["evaluations"], **named}}
    async with chat_stack(tmp_path, **settings) as made:
        made.engine.reply = lambda call: SAID[call.marker]
        yield made


def cases(check: dict[str, Any], count: int = 20) -> list[dict[str, Any]]:
    return [
        {"id": str(n), "question": f"언제 되나요? {n}", "checks": [check]} for n in range(count)
    ]


async def test_a_candidate_is_judged_by_rubric_and_by_style(
    stack: ChatStack, judge: tuple[FakeCompletions, str]
) -> None:
    _, new = await two_versions(stack)
    # What passes by is tried again.
    judge[0].failing = [Failing(503)]
    for check in ({"kind": "judge", "rubric": "정중하다"}, {"kind": "style", "style": "formal"}):
        assert (await put(stack.gateway.admin, cases(check))).status == 200
        found = await evaluated(stack, bundle={"adapter": new, "description": check["kind"]})
        assert (found["verdict"], found["report"]["comparison"]["main"]["gained"]) == ("adopt", 20)
        assert found["report"]["judges"]["judge"].startswith("wise (1-")
        assert found["report"]["judges"]["styles"]


async def test_a_gateway_without_a_judge_takes_no_cases_for_one(tmp_path: Path) -> None:
    async with chat_stack(tmp_path) as stack:
        for check, said in (
            ({"kind": "judge", "rubric": "정중하다"}, "no judge is named"),
            ({"kind": "style", "style": "formal"}, "no classifier is named"),
        ):
            reply = await put(stack.gateway.admin, cases(check, 1))
            assert (reply.status, reply.code) == (400, "evaluation_cases_invalid")
            assert said in reply.message
