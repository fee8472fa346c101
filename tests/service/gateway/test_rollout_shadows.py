"""Shadow traffic: the candidate answers copies that nobody sees, and callers never feel it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from services.contracts.rollouts import ARM_HEADER
from services.gateway.registry import tables
from tests.fakes.agent import eventually
from tests.fakes.engine_generation import Call
from tests.fakes.engine_replies import EngineRefusal
from tests.fakes.retriever import passage
from tests.service.gateway.chat_stack import ChatStack, chat_stack
from tests.service.gateway.gateway import Reply
from tests.service.gateway.rollout_calls import (
    FOREVER,
    ROLLOUTS,
    act,
    begin,
    comes_to,
    seen,
    two_versions,
)

pytestmark = pytest.mark.anyio

EVERYTHING = {"percent": 100, "min_samples": 1000}
MOVING = {"look_seconds": 0.02}
BESIDE = 2
"""How many callers' requests may run beside a copy."""
QUICK = {"look_seconds": 0.01, "callers_beside": BESIDE}

PASSAGES = [passage("환불은 30일 안에 됩니다."), passage("우편 요금은 무료입니다.")]
RETRIEVAL = {"collections": ["handbook"], "top_k": 2}


@pytest.fixture
async def stack(tmp_path: Path, database_url: str | None) -> AsyncIterator[ChatStack]:
    async with chat_stack(
        tmp_path, database_url=database_url, rollouts=MOVING, shadow=QUICK
    ) as made:
        made.engine.reply = lambda call: str(call.marker)
        yield made


async def shadowing(stack: ChatStack, shadow: dict[str, Any], **fields: Any) -> str:
    """Bring a rollout to where its candidate answers copies."""
    bundle = fields.pop("bundle", {})
    if "profile" in bundle or "adapter" in bundle:
        await stack.bind(**{**bundle, "profile": {}})
    else:
        _, new = await two_versions(stack)
        bundle = {"adapter": new}
    body = {"bundle": bundle, "strategy": "shadow_canary", "shadow": shadow, **fields}
    body["allow_without_evidence"] = True
    body.setdefault("steps", [{"weight": 100, "hold_seconds": FOREVER}])
    begun = await stack.gateway.admin.post(ROLLOUTS, json=body)
    assert begun.status == 201, begun
    id_ = str(begun.body["id"])
    await comes_to(stack, id_, "shadowing")
    await stack.gateway.resources.registry.catch_up()
    return id_


async def copies(stack: ChatStack, number: int) -> list[dict[str, Any]]:
    """Wait for so many answered copies in the ledger."""
    found: list[dict[str, Any]] = []

    async def are_there() -> bool:
        await stack.gateway.resources.answering.write_ledger()
        async with stack.gateway.resources.registry.database.read() as connection:
            rows = await connection.execute(
                select(tables.ledger).where(tables.ledger.c.arm == "shadow")
            )
            found[:] = [dict(row) for row in rows.mappings()]
        return len(found) >= number

    await eventually(are_there, seconds=60)
    return found


def long_answers(stack: ChatStack, condition: Callable[[Call], bool]) -> None:
    """Let some calls take minutes; the others are over with their first token."""
    stack.engine.knobs.token_delay_seconds = 1.0
    stack.engine.reply = lambda call: "word " * 200 if condition(call) else "word"


async def test_the_candidate_answers_the_same_over_the_same_passages_and_nobody_sees_it(
    stack: ChatStack,
) -> None:
    stack.gateway.retriever.passages = PASSAGES
    bundle = {"profile": {"system": "공손하게 답하세요."}, "retrieval": RETRIEVAL}
    stack.engine.reply = lambda call: "환불됩니다 [1]." if "공손" in call.prompt else "됩니다 [1]."
    await shadowing(stack, EVERYTHING, bundle=bundle)
    reply = await stack.ask("환불되나요?", max_tokens=40)
    block = reply.body["inkstone"]
    assert reply.body["choices"][0]["message"]["content"] == "됩니다 [1]."
    assert (block["arm"], block["release"]) == ("stable", "support/1")
    (copy,) = await copies(stack, 1)
    asked, copied = [record.body for record in stack.engine.generations()]
    assert len(stack.gateway.retriever.searches) == 1
    assert copied["max_tokens"] == asked["max_tokens"] == 40
    assert not copied.get("stream")
    assert asked["priority"] < copied["priority"]
    said = [message["content"] for message in copied["messages"]]
    assert any("공손하게 답하세요." in text for text in said)
    for each in PASSAGES:
        assert any(each.text in text for text in said)
    rows = await stack.ledger(2)
    (row,) = [row for row in rows if row["arm"] == "stable"]
    assert copy["copy_of"] == row["id"]
    assert (copy["release"], copy["request_id"]) == ("support/2", row["request_id"])
    assert (copy["cited"], copy["passages"], copy["status"]) == (1, 2, 200)
    assert copy["completion_tokens"] > 0
    assert await stack.metric("shadow_answers_total", status="200") == 1
    counted = await stack.metric(
        "requests_total", assistant="support", release="support/2", arm="shadow", status="200"
    )
    assert counted == 0


async def test_enough_pairs_that_speak_for_the_candidate_begin_its_canary(
    stack: ChatStack,
) -> None:
    id_ = await shadowing(stack, {"percent": 100, "min_samples": 3})
    for number in range(3):
        assert (await stack.ask(conversation_id=str(number))).body["inkstone"]["arm"] == "stable"
        await copies(stack, number + 1)
    canary = await comes_to(stack, id_, "canary")
    assert "3 unseen pairs" in canary["reason"]
    # What nobody saw is no evidence of the canary's.
    assert {check["candidate"]["trials"] for check in canary["checks"]} == {0}


async def test_a_candidate_that_fails_unseen_is_rolled_back_before_anybody_meets_it(
    stack: ChatStack,
) -> None:
    def reply(call: Call) -> str:
        if call.marker == "new":
            raise EngineRefusal(500, "InternalServerError", "the adapter broke the engine")
        return str(call.marker)

    stack.engine.reply = reply
    id_ = await shadowing(stack, EVERYTHING)
    replies: list[Reply] = []

    async def found_out() -> bool:
        replies.append(await stack.ask(conversation_id=str(len(replies))))
        return bool((await seen(stack, id_))["state"] == "rolled_back")

    await eventually(found_out, seconds=60)
    assert {(each.status, each.body["inkstone"]["arm"]) for each in replies} == {(200, "stable")}
    ended = await seen(stack, id_)
    assert "worse at errors" in ended["reason"]
    (errors,) = [check for check in ended["checks"] if check["check"] == "errors"]
    assert errors["stable"]["events"] == 0
    assert errors["candidate"]["events"] == errors["candidate"]["trials"] > 0


async def test_too_few_pairs_are_inconclusive_and_open_no_way_around(stack: ChatStack) -> None:
    _, new = await two_versions(stack)
    shadow = {"min_samples": 7, "max_duration_seconds": 0.05}
    begun = await begin(stack, new, 50, strategy="shadow_canary", shadow=shadow)
    id_ = str(begun.body["id"])
    held = await comes_to(stack, id_, "inconclusive")
    assert "needs 7 more" in held["reason"]
    refused = await act(stack, id_, "promote")
    assert (refused.status, refused.code) == (409, "rollout_state")


async def test_what_says_nothing_of_the_stable_release_is_not_copied(stack: ChatStack) -> None:
    stack.gateway.retriever.passages = PASSAGES
    bundle = {"profile": {"system": "새로"}, "retrieval": RETRIEVAL}
    await shadowing(stack, EVERYTHING, bundle=bundle)
    body = {"model": "support", "messages": [{"role": "user", "content": "q"}]}
    steered = await stack.gateway.application.post(
        "/v1/chat/completions", json=body, headers={ARM_HEADER: "stable"}
    )
    narrowed = await stack.ask(retrieval={"top_k": 1})
    direct = await stack.ask(model="base")
    wrong = await stack.ask(messages=[{"role": "assistant", "content": "no question"}])
    stack.gateway.retriever.passages = []
    empty = await stack.ask("아무것도 없는 질문")
    statuses = [reply.status for reply in (steered, narrowed, direct, wrong, empty)]
    assert statuses == [200, 200, 200, 400, 200]
    stack.gateway.retriever.passages = PASSAGES
    # Copies are answered in order: had there been others, they would be there before this one.
    wanted = (await stack.ask("counted")).body["inkstone"]["request_id"]
    assert [copy["request_id"] for copy in await copies(stack, 1)] == [wanted]


async def test_a_copy_waits_while_callers_use_the_engine(stack: ChatStack) -> None:
    long_answers(stack, lambda call: "slow" in call.question)
    await shadowing(stack, EVERYTHING)
    slow = [asyncio.create_task(stack.ask("slow")) for _ in range(BESIDE + 1)]
    await eventually(lambda: stack.engine.in_flight == BESIDE + 1)
    assert (await stack.ask("quick")).status == 200
    await stack.gateway.resources.answering.shadowing.work()
    assert await stack.metric("shadow_queue") == 1
    for each in slow:
        each.cancel()
    await asyncio.gather(*slow, return_exceptions=True)
    await copies(stack, 1)
    assert await stack.metric("shadow_queue") == 0


async def test_a_copy_is_broken_off_as_soon_as_callers_need_the_engine(stack: ChatStack) -> None:
    long_answers(stack, lambda call: call.marker == "new" or "slow" in call.question)
    await shadowing(stack, EVERYTHING)
    assert (await stack.ask("quick")).status == 200
    await eventually(lambda: stack.engine.in_flight == 1)
    (copy,) = [record for record in stack.engine.generations() if record.body["priority"]]
    slow = [asyncio.create_task(stack.ask("slow")) for _ in range(BESIDE + 1)]
    await eventually(lambda: copy.disconnected, seconds=60)
    assert await stack.metric("shadow_dropped_total", reason="callers") == 1
    for each in slow:
        each.cancel()
    await asyncio.gather(*slow, return_exceptions=True)


async def test_an_adapter_that_needs_a_callers_slot_runs_beside_nobody(tmp_path: Path) -> None:
    async with chat_stack(tmp_path, rollouts=MOVING, shadow=QUICK) as stack:
        stack.agents[0].max_loras = 1
        long_answers(stack, lambda call: "slow" in call.question)
        await shadowing(stack, EVERYTHING)
        slow = asyncio.create_task(stack.ask("slow"))
        await eventually(lambda: stack.engine.in_flight == 1)
        assert (await stack.ask("quick")).status == 200
        await stack.gateway.resources.answering.shadowing.work()
        assert await stack.metric("shadow_queue") == 1
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)
        await copies(stack, 1)


async def test_what_finds_no_room_or_no_budget_is_dropped_and_counted(tmp_path: Path) -> None:
    still = {"look_seconds": FOREVER, "queue": 2}
    async with chat_stack(tmp_path, rollouts=MOVING, shadow=still) as stack:
        await shadowing(stack, {**EVERYTHING, "max_tokens_per_hour": 1})
        for _ in range(3):
            assert (await stack.ask()).status == 200
        assert await stack.metric("shadow_dropped_total", reason="queue_full") == 1
        assert await stack.metric("shadow_queue") == 2
        await stack.gateway.resources.answering.shadowing.work()
        # The first copy was within the budget, and used more than there was.
        assert await stack.metric("shadow_answers_total", status="200") == 1
        assert await stack.metric("shadow_dropped_total", reason="budget") == 1
        assert (await stack.ask()).status == 200
        assert await stack.metric("shadow_dropped_total", reason="budget") == 2


async def test_copies_of_a_rollout_that_is_over_are_dropped(tmp_path: Path) -> None:
    still = {"look_seconds": FOREVER}
    async with chat_stack(tmp_path, rollouts=MOVING, shadow=still) as stack:
        id_ = await shadowing(stack, EVERYTHING)
        assert (await stack.ask()).status == 200
        assert (await act(stack, id_, "abort")).status == 200
        await stack.gateway.resources.answering.shadowing.work()
        assert await stack.metric("shadow_dropped_total", reason="rollout_over") == 1
        assert (await stack.ask()).status == 200
        assert await stack.metric("shadow_queue") == 0


async def test_an_engine_that_is_full_says_nothing_of_the_candidate(tmp_path: Path) -> None:
    still = {"look_seconds": FOREVER}
    async with chat_stack(tmp_path, rollouts=MOVING, shadow=still) as stack:
        await shadowing(stack, EVERYTHING)
        assert (await stack.ask()).status == 200
        stack.engine.knobs.overloaded = True
        await stack.gateway.resources.answering.shadowing.work()
        assert await stack.metric("shadow_dropped_total", reason="engine_away") == 1
        assert {row["arm"] for row in await stack.ledger(1)} == {"stable"}


async def test_feedback_is_of_the_answer_that_was_seen(stack: ChatStack) -> None:
    await shadowing(stack, EVERYTHING)
    request_id = (await stack.ask()).body["inkstone"]["request_id"]
    await copies(stack, 1)
    given = await stack.gateway.application.post(
        "/v1/feedback", json={"request_id": request_id, "score": 0}
    )
    assert (given.body["arm"], given.body["release"]) == ("stable", "support/1")


async def test_what_a_shadow_cannot_show_is_refused(stack: ChatStack) -> None:
    old, new = await two_versions(stack)
    other = await stack.gateway.admin.post(
        ROLLOUTS,
        json={"bundle": {"adapter": old, "retrieval": RETRIEVAL}, "strategy": "shadow_canary"},
    )
    blind = await begin(stack, new, 50, strategy="shadow_canary", analysis=None)
    elsewhere = await begin(stack, new, 50, strategy="canary", shadow={})
    assert (other.status, other.code) == (400, "shadow_of_retrieval")
    assert {(blind.status, blind.code), (elsewhere.status, elsewhere.code)} == {
        (400, "invalid_request")
    }
    assert "analysis" in blind.message
    assert "shadow_canary" in elsewhere.message
