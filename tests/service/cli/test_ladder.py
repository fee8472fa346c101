"""`inkstone ladder run` against a real gateway, an engine that is better on some rungs, a tuner."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.chassis.artifacts import ArtifactStore
from services.chassis.http import Peer, open_session
from services.cli.failures import CommandError
from services.cli.main import app
from services.tuner.gateway import JobQueue
from tests.fakes.agent import eventually
from tests.fakes.engine_generation import Call
from tests.fakes.tuner import FakeTuner
from tests.service.gateway.chat_stack import ChatStack, chat_stack

pytestmark = pytest.mark.anyio

LABELS = ["긍정", "부정"]
SYSTEM = "영화평이 긍정인지 부정인지 답하세요."


def case(number: int) -> dict[str, Any]:
    return {
        "id": f"c{number}",
        "question": f"영화평 {number}번: 볼 만했다",
        "checks": [{"kind": "label", "labels": LABELS, "expected": LABELS[number % 2]}],
    }


def row(number: int, **fields: Any) -> dict[str, Any]:
    answer = {"role": "assistant", "content": LABELS[number % 2]}
    # Rows that are told apart by more than a number are no copies of one another.
    word = "".join(chr(0xAC00 + (number * 7919 + place * 104729) % 11172) for place in range(12))
    return {"messages": [{"role": "user", "content": f"{word} 글"}, answer], **fields}


CASES = [case(n) for n in range(40)]
ROWS = [row(n) for n in range(120)]


@dataclass(slots=True)
class Voice:
    """What the engine answers: right for so many cases of ten, by what the rung gives it."""

    asked: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, call: Call) -> str:
        found = re.search(r"영화평 (\d+)번", call.question)
        assert found is not None
        number, body = int(found[1]), call.body
        self.asked.append(body)
        right = number % 10 < self._of_ten(call)
        label = LABELS[number % 2 if right else 1 - number % 2]
        if body.get("response_format"):
            return json.dumps({"answer": label}, ensure_ascii=False)
        if "Think step by step" in str(body["messages"][0]["content"]):
            return f"음, {LABELS[0]}일까? {LABELS[1]}일까? Final answer: {label}"
        return label

    @staticmethod
    def _of_ten(call: Call) -> int:
        if call.marker:
            return 9 if call.marker.endswith("-100") else 8
        return 6 if len(call.body["messages"]) > 2 else 4


@dataclass(slots=True)
class World:
    """What a test works with."""

    stack: ChatStack
    tuner: FakeTuner
    folder: Path
    voice: Voice

    @property
    def options(self) -> list[str]:
        gateway = self.stack.gateway
        return ["--key", gateway.secrets["admin"], "--url", gateway.base_url]

    def arguments(self, *options: str, **files: Any) -> list[str]:
        """The command's arguments; `cases` and `train` replace what the files hold."""
        cases = written(self.folder / "cases.jsonl", files.get("cases", CASES))
        train = written(self.folder / "train.jsonl", files.get("train", ROWS))
        given = ["--assistant", "sentiment", "--cases", cases, "--train", train]
        out = ["--out", str(self.folder / "found.json")]
        return ["ladder", "run", *given, *out, *options, *self.options]

    async def run(self, *options: str, **files: Any) -> str:
        """Run the command in a thread: it has an event loop of its own."""
        arguments = self.arguments(*options, **files)
        ran = await asyncio.to_thread(CliRunner().invoke, app, arguments)
        if ran.exception is not None and not isinstance(ran.exception, SystemExit):
            raise ran.exception
        assert ran.exit_code == 0, ran.output
        return ran.output

    @property
    def saved(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "found.json").read_text("utf-8"))
        return found

    @property
    def rungs(self) -> dict[str, Any]:
        return {one["name"]: one for one in self.saved["report"]["rungs"]}

    async def assistants(self) -> list[str]:
        page = (await self.stack.gateway.admin.get("/admin/assistants")).body
        return [one["id"] for one in page["data"]]

    def answers(self) -> int:
        file = self.folder / "found.answers.jsonl"
        return file.read_text("utf-8").count('"answer"') if file.exists() else 0


def written(file: Path, lines: Any) -> str:
    text = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    file.write_text(text, encoding="utf-8")
    return str(file)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with chat_stack(tmp_path) as stack, open_session() as session:
        gateway, voice = stack.gateway, Voice()
        stack.engine.reply = voice
        profile = {"system": SYSTEM, "sampling": {"max_tokens": 64}}
        await stack.bind("sentiment", profile=profile)
        queue = JobQueue(Peer("gateway", gateway.base_url, session, gateway.secrets["tuner"]))
        store = ArtifactStore(gateway.settings.artifact_store_url)
        tuner = FakeTuner(queue, store, tmp_path / "tuner", stack.holds)
        async with tuner.working():
            yield World(stack, tuner, tmp_path, voice)


async def test_every_rung_is_measured_and_the_cheapest_that_is_enough_is_advised(
    world: World,
) -> None:
    rungs = "zero-shot,few-shot,cot,structured,rag,lora-60,lora-100"
    told = await world.run("--rungs", rungs)
    found = world.rungs
    assert [one for one in found] == [
        "zero-shot", "few-shot", "structured", "cot", "lora-60", "lora-100"
    ]  # fmt: skip
    shares = {name: one["figures"]["pass_rate"]["value"] for name, one in found.items()}
    assert shares == {
        "zero-shot": 0.4, "few-shot": 0.6, "structured": 0.4, "cot": 0.4, "lora-60": 0.8,
        "lora-100": 0.9,
    }  # fmt: skip
    (left,) = world.saved["report"]["left_out"]
    assert left["name"] == "rag"
    assert "bind it to a collection" in left["reason"]
    assert "rag is left out" in told
    assert found["lora-60"]["training"]["seconds"] >= 0
    assert world.saved["report"]["advice"]["verdict"] == "adopt"
    print("\n".join(l for l in told.splitlines() if "[info" not in l and "\x1b[1m" not in l))
    assert await world.assistants() == ["sentiment"]
    assert len(world.tuner.rows["sentiment-lora-60"]) == 60
    assert world.tuner.rows["sentiment-lora-100"][:60] == world.tuner.rows["sentiment-lora-60"]
