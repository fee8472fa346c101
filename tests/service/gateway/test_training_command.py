"""`inkstone trainings` against a gateway whose worker is played by the test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.service.gateway import command
from tests.service.gateway.chat_stack import ChatStack, chat_stack
from tests.service.gateway.test_evaluations import better, put
from tests.service.gateway.test_training_verdicts import SETTINGS, claimed, finished, judged

pytestmark = pytest.mark.anyio


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[ChatStack]:
    async with chat_stack(tmp_path, **SETTINGS) as made:
        made.engine.reply = lambda call: str(call.marker or "old")
        yield made


async def run(stack: ChatStack, *arguments: str, code: int = 0) -> str:
    return await command.run(stack, "trainings", *arguments, code=code)


async def test_a_training_is_queued_for_an_assistant_and_watched_to_its_verdict(
    stack: ChatStack, tmp_path: Path
) -> None:
    await stack.bind(adapter=await stack.adapter("old"))
    await put(stack.gateway.admin, better(20))
    (rows := tmp_path / "rows.jsonl").write_text('{"messages": []}\n')
    said = await run(
        stack, "add", "new", str(rows), "--assistant", "support", "--eval", "golden", "--knob",
        "epochs=1",
    )  # fmt: skip
    job = said.split()[0]
    lease = await claimed(stack)
    assert lease["job"]["spec"]["recipe"] == {"epochs": "1"}
    tuner = stack.gateway.client(stack.gateway.secrets["tuner"])
    events = [
        {"number": step, "at": 1.0, "message": f"Step {step}/2", "data": data}
        for step, data in ((1, {"step": 1, "train_loss": 2.0}), (2, {"step": 2, "train_loss": 1.0}))
    ]
    body = {"worker": "w1", "progress": {"step": 2, "of": 2, "loss": 1.0}, "events": events}
    await tuner.post(f"/internal/jobs/{job}/renew", json=body)
    version = await finished(stack, lease)
    await judged(stack, job)
    watched = await run(stack, "watch", job)
    verdict = "Better than support/1: 20 gained, 0 lost of 20; adopt it."
    for told in (f"Comparing {version} with support/1", "Step 2/2", verdict, "• training loss"):
        assert told in watched
    shown = await run(stack, "show", job)
    assert f"{job}  succeeded  {version}" in shown
    assert verdict in shown


async def test_what_cannot_be_queued_is_said_in_a_sentence(
    stack: ChatStack, tmp_path: Path
) -> None:
    (rows := tmp_path / "rows.jsonl").write_text('{"messages": []}\n')
    neither = await run(stack, "add", "x", str(rows), code=1)
    assert "either --profile or --assistant" in neither
    await stack.bind()
    given = ("add", "x", str(rows), "--assistant", "support")
    assert "no evaluation set 'nowhere'" in await run(stack, *given, "--eval", "nowhere", code=1)
