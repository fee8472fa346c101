"""Follow-up questions: what is searched for, what the reply says of it, and what it costs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.engine import Recorded
from tests.fakes.engine_generation import Call
from tests.fakes.retriever import passage
from tests.service.gateway.chat_stack import ChatStack, chat_stack, until
from tests.service.gateway.gateway import Reply

pytestmark = pytest.mark.anyio

REWRITTEN = "서울 매장에 주차할 수 있나요?"
JOINED = "주차는요? 서울 매장은"


def conversation(*, last: str = "주차는요?") -> list[dict[str, str]]:
    return [
        {"role": "user", "content": "서울 매장은 어디예요?"},
        {"role": "assistant", "content": "누하동입니다."},
        {"role": "user", "content": last},
    ]


def is_rewriting(body: dict[str, Any]) -> bool:
    return str(body["messages"][-1]["content"]).endswith("Standalone question:")


def scripted(call: Call) -> str:
    return REWRITTEN if is_rewriting(call.body) else "answer"


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[ChatStack]:
    rewrite = {"timeout_seconds": 0.5, "max_tokens": 16}
    async with chat_stack(tmp_path, rewrite=rewrite) as made:
        made.gateway.retriever.passages = [passage("no car park")]
        made.engine.reply = scripted
        yield made


async def bind(stack: ChatStack, **policy: Any) -> None:
    await stack.bind(retrieval={"collections": ["handbook"], **policy})


async def say(stack: ChatStack, messages: list[dict[str, str]], **fields: Any) -> Reply:
    body = {"model": "support", "messages": messages, **fields}
    reply = await stack.gateway.application.post("/v1/chat/completions", json=body)
    assert reply.status == 200, reply
    return reply


def split(stack: ChatStack) -> tuple[list[Recorded], list[Recorded]]:
    """The calls that rewrite, and those that answer."""
    calls = stack.engine.generations()
    rewriting = [call for call in calls if is_rewriting(call.body)]
    return rewriting, [call for call in calls if call not in rewriting]


async def test_a_follow_up_is_searched_with_what_it_leans_on(stack: ChatStack) -> None:
    await bind(stack)
    reply = await say(stack, conversation())
    assert [search.query for search in stack.gateway.retriever.searches] == [JOINED]
    block = reply.body["inkstone"]
    assert block["retrieval"]["query"] == JOINED
    assert block["timings"]["rewrite_ms"] == 0
    rewriting, (answering,) = split(stack)
    assert rewriting == []
    assert answering.body["messages"][-1]["content"].endswith("Question: 주차는요?")
    await stack.ledger()
    assert await stack.metric("follow_ups_total", way="joined") == 1
    assert await stack.metric("stage_seconds_count", stage="rewrite") == 0


async def test_a_new_subject_is_searched_alone(stack: ChatStack) -> None:
    await bind(stack)
    question = "단체 주문 담당자는 누구인가요?"
    reply = await say(stack, conversation(last=question))
    assert stack.gateway.retriever.searches[0].query == question
    assert reply.body["inkstone"]["retrieval"]["query"] is None


async def test_follow_ups_can_be_left_alone(stack: ChatStack) -> None:
    await bind(stack, follow_up="ignore")
    reply = await say(stack, conversation())
    assert stack.gateway.retriever.searches[0].query == "주차는요?"
    assert reply.body["inkstone"]["retrieval"]["query"] is None


async def test_a_streamed_reply_says_what_was_searched_for(stack: ChatStack) -> None:
    await bind(stack)
    reply = await say(stack, conversation(), stream=True)
    assert f'"query":"{JOINED}"' in reply.body


async def test_the_base_can_write_the_question(stack: ChatStack) -> None:
    formal = await stack.adapter("formal")
    retrieval = {"collections": ["handbook"], "follow_up": "rewrite"}
    await stack.bind(retrieval=retrieval, adapter=formal)
    reply = await say(stack, conversation())
    assert stack.gateway.retriever.searches[0].query == REWRITTEN
    block = reply.body["inkstone"]
    assert block["retrieval"]["query"] == REWRITTEN
    assert block["timings"]["rewrite_ms"] > 0
    (rewriting,), (answering,) = split(stack)
    assert (rewriting.body["model"], answering.body["model"]) == ("base", formal)
    assert (rewriting.body["temperature"], rewriting.body["max_tokens"]) == (0, 16)
    assert rewriting.body["priority"] == answering.body["priority"]
    assert rewriting.body["cache_salt"] != answering.body["cache_salt"]
    assert answering.body["messages"][-1]["content"].endswith("Question: 주차는요?")


@pytest.mark.parametrize("streamed", [False, True])
async def test_what_rewriting_used_is_settled_with_the_answer(
    stack: ChatStack, streamed: bool
) -> None:
    await bind(stack, follow_up="ignore")
    await say(stack, conversation(), stream=streamed)
    await bind(stack, follow_up="rewrite")
    reply = await say(stack, conversation(), stream=streamed)
    plain, rewritten = await stack.ledger(2)
    words = len(REWRITTEN.split())
    assert rewritten["completion_tokens"] == plain["completion_tokens"] + words
    assert rewritten["prompt_tokens"] > plain["prompt_tokens"]
    assert (plain["rewrite_ms"], rewritten["rewrite_ms"] > 0) == (0, True)
    if not streamed:
        assert reply.body["usage"]["completion_tokens"] == rewritten["completion_tokens"]
        assert reply.body["usage"]["prompt_tokens"] == rewritten["prompt_tokens"]
    assert await stack.metric("stage_seconds_count", stage="rewrite") == 1
    assert await stack.metric("follow_ups_total", way="rewritten") == 1


async def test_one_turn_is_never_rewritten(stack: ChatStack) -> None:
    await bind(stack, follow_up="rewrite")
    await stack.ask("주차는요?")
    assert split(stack)[0] == []
    assert stack.gateway.retriever.searches[0].query == "주차는요?"


async def test_a_long_question_is_not_rewritten(stack: ChatStack) -> None:
    await bind(stack, follow_up="rewrite")
    await say(stack, conversation(last="x " * 200))
    assert split(stack)[0] == []


@pytest.mark.parametrize("said", ["", "?!", "word " * 20, "x" * 500])
async def test_what_is_no_question_falls_back_to_joining(stack: ChatStack, said: str) -> None:
    await bind(stack, follow_up="rewrite")
    stack.engine.reply = lambda call: said if is_rewriting(call.body) else "answer"
    reply = await say(stack, conversation())
    assert reply.body["inkstone"]["retrieval"]["query"] == JOINED
    await stack.ledger()
    assert await stack.metric("follow_ups_total", way="fell_back") == 1


async def test_a_full_engine_falls_back_and_is_not_charged(stack: ChatStack) -> None:
    await bind(stack, follow_up="rewrite")
    stack.gateway.retriever.passages = []
    stack.engine.knobs.overloaded = True
    reply = await say(stack, conversation())
    assert stack.gateway.retriever.searches[0].query == JOINED
    assert reply.body["usage"]["total_tokens"] == 0


async def test_a_slow_engine_falls_back_and_its_work_is_stopped_and_settled(
    stack: ChatStack,
) -> None:
    await bind(stack, follow_up="rewrite")
    stack.gateway.retriever.passages = []
    with stack.engine.holding():
        reply = await say(stack, conversation())
        await until(lambda: stack.engine.generations()[-1].disconnected)
    assert stack.gateway.retriever.searches[0].query == JOINED
    assert reply.body["inkstone"]["timings"]["rewrite_ms"] >= 500
    assert reply.body["usage"]["prompt_tokens"] > 0
    assert reply.body["usage"]["completion_tokens"] == 0


async def test_leaving_while_the_question_is_rewritten_stops_the_engine(tmp_path: Path) -> None:
    async with chat_stack(tmp_path, rewrite={"timeout_seconds": 60}) as stack:
        await bind(stack, follow_up="rewrite")
        with stack.engine.holding():
            asking = asyncio.create_task(say(stack, conversation()))
            await until(lambda: stack.engine.in_flight == 1)
            asking.cancel()
            await until(lambda: stack.engine.generations()[-1].disconnected)
        (row,) = await stack.ledger()
    assert (row["status"], row["error_code"]) == (499, "client_gone")
    assert row["prompt_tokens"] > 0
    assert stack.gateway.retriever.searches == []


async def test_no_log_line_holds_what_was_asked(
    stack: ChatStack, capsys: pytest.CaptureFixture[str]
) -> None:
    await bind(stack, follow_up="rewrite")
    await say(stack, conversation())
    stack.engine.reply = lambda call: "" if is_rewriting(call.body) else "answer"
    await say(stack, conversation())
    with stack.engine.holding():
        stack.gateway.retriever.passages = []
        await say(stack, conversation())
    written = "".join(capsys.readouterr())
    assert "rewrite.failed" in written
    assert "주차" not in written
