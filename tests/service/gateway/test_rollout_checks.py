"""What the checks of a rollout see in real answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.agent import eventually
from tests.fakes.retriever import passage
from tests.service.gateway.chat_stack import ChatStack, chat_stack

pytestmark = pytest.mark.anyio

ROLLOUTS = "/admin/assistants/support/rollouts"


@pytest.fixture
async def stack(tmp_path: Path, database_url: str | None) -> AsyncIterator[ChatStack]:
    quick = {"look_seconds": 0.02}
    async with chat_stack(tmp_path, database_url=database_url, rollouts=quick) as made:
        made.gateway.retriever.passages = [passage("환불은 30일 안에 됩니다.", title="환불")]
        await made.bind(retrieval={"collections": ["handbook"]})
        yield made


async def begun(stack: ChatStack, adapter: str) -> str:
    bundle = {"adapter": adapter, "retrieval": {"collections": ["handbook"]}}
    body = {
        "bundle": bundle,
        "steps": [{"weight": 50, "hold_seconds": 3600}],
        "allow_without_evidence": True,
    }
    reply = await stack.gateway.admin.post(ROLLOUTS, json=body)
    assert reply.status == 201, reply
    await eventually(lambda: stack.gateway.resources.snapshot.canaries)
    return f"{ROLLOUTS}/{reply.body['id']}"


async def seen(stack: ChatStack, path: str) -> dict[str, Any]:
    return dict((await stack.gateway.admin.get(path)).body)


async def found_out(stack: ChatStack, path: str) -> str:
    """Ask until the candidate is taken back; say why."""
    chats = 0

    async def rolled_back() -> bool:
        nonlocal chats
        for _ in range(8):
            chats += 1
            assert (await stack.ask(conversation_id=f"chat {chats}")).status == 200
        return bool((await seen(stack, path))["state"] == "rolled_back")

    await eventually(rolled_back, seconds=60)
    return str((await seen(stack, path))["reason"])


async def test_a_candidate_that_cites_nothing_of_what_it_is_given_is_rolled_back(
    stack: ChatStack,
) -> None:
    babbling = await stack.adapter("babbling")
    stack.engine.reply = lambda call: "파란 일곱" if call.marker else "30일입니다 [1]."
    path = await begun(stack, babbling)
    assert "worse by more than 0.05 at uncited answers" in await found_out(stack, path)


@pytest.mark.parametrize(
    "says",
    [
        pytest.param("반품은 90일 안에 됩니다 [1].", id="a number that is not there"),
        pytest.param("매장은 주말에 닫습니다 [1].", id="words that are not there"),
    ],
)
async def test_a_candidate_that_ignores_its_passages_and_cites_them_is_rolled_back(
    stack: ChatStack, says: str
) -> None:
    dreaming = await stack.adapter("dreaming")
    stack.engine.reply = lambda call: says if call.marker else "환불은 30일 안에 됩니다 [1]."
    path = await begun(stack, dreaming)
    assert "worse by more than 0.05 at unsupported answers" in await found_out(stack, path)


async def test_another_voice_for_what_the_passages_say_is_not_accused(stack: ChatStack) -> None:
    warm = await stack.adapter("warm")
    stack.engine.reply = lambda call: (
        "네! 환불은 30일 안에 돼요 [1] 😊" if call.marker else "환불은 30일 안에 됩니다 [1]."
    )
    path = await begun(stack, warm)
    for chat in range(40):
        assert (await stack.ask(conversation_id=f"chat {chat}")).status == 200
    await stack.ledger(40)
    rollout = await seen(stack, path)
    checks = {check["check"]: check for check in rollout["checks"]}
    for arm in ("stable", "candidate"):
        assert checks["unsupported_answers"][arm]["events"] == 0
        assert checks["unsupported_answers"][arm]["trials"] > 0
    assert rollout["state"] == "canary"
    assert rollout["arms"]["stable"]["support"] == 1.0
    assert 0.5 < rollout["arms"]["candidate"]["support"] < 1.0


async def test_an_answer_that_says_that_the_documents_do_not_tell_need_not_cite(
    stack: ChatStack,
) -> None:
    modest = await stack.adapter("modest")
    stack.engine.reply = lambda _: "I could not find this in the documents I have."
    path = await begun(stack, modest)
    # Few enough to be quick, and so many that chance does not leave one arm without any.
    for chat in range(30):
        assert (await stack.ask(conversation_id=f"chat {chat}")).status == 200
    await stack.ledger(30)
    checks = {check["check"]: check for check in (await seen(stack, path))["checks"]}
    assert checks["errors"]["candidate"]["trials"] > 0
    for arm in ("stable", "candidate"):
        assert checks["uncited_answers"][arm] == {"events": 0, "trials": 0}
