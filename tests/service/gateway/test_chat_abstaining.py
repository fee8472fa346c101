"""When the documents hold no answer: the assistant says so, without an engine where it can."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.chassis.errors import UpstreamFailed
from services.contracts.knowledge import Span, Surroundings
from tests.fakes.retriever import passage
from tests.service.gateway.chat_stack import ChatStack, chat_stack

pytestmark = pytest.mark.anyio

RETRIEVAL = {"collections": ["handbook"], "min_score": 0.5}
LENIENT = {**RETRIEVAL, "on_retrieval_failure": "answer_ungrounded"}
PROFILE = {"abstention": {"en": "I do not know.", "ko": "모르겠습니다."}}


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[ChatStack]:
    async with chat_stack(tmp_path) as made:
        made.gateway.retriever.passages = [passage("far away", similarity=0.1)]
        await made.bind(retrieval=RETRIEVAL, profile=PROFILE)
        yield made


@pytest.mark.parametrize(
    ("question", "said"), [("How long?", "I do not know."), ("얼마나 걸려요?", "모르겠습니다.")]
)
async def test_nothing_found_is_said_in_the_questions_language(
    stack: ChatStack, question: str, said: str
) -> None:
    async with stack.openai() as client:
        answer = await client.chat.completions.create(
            model="support", messages=[{"role": "user", "content": question}]
        )
    assert answer.choices[0].message.content == said
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 0
    block = (answer.model_extra or {})["inkstone"]
    assert (block["outcome"], block["replica"]) == ("abstained", None)
    assert block["retrieval"]["grounded"] is True
    assert stack.engine.generations() == []


@pytest.mark.parametrize(("estimate", "abstains"), [(0.2, True), (0.4, False), (None, False)])
async def test_an_answer_that_is_improbable_is_not_attempted(
    stack: ChatStack, estimate: float | None, abstains: bool
) -> None:
    policy = {"collections": ["handbook"], "min_answerability": 0.3}
    await stack.bind(retrieval=policy, profile=PROFILE)
    stack.gateway.retriever.answerability = estimate
    async with stack.openai() as client:
        answer = await client.chat.completions.create(
            model="support", messages=[{"role": "user", "content": "How long?"}]
        )
    block = (answer.model_extra or {})["inkstone"]
    assert (block["outcome"] == "abstained") is abstains
    assert block["retrieval"]["answerability"] == estimate
    assert bool(stack.engine.generations()) is not abstains


async def test_the_model_reads_the_section_and_the_citation_names_the_passage(
    stack: ChatStack,
) -> None:
    policy = {"collections": ["handbook"], "expand": "section", "diversity": 0.5}
    await stack.bind(retrieval=policy, profile=PROFILE)
    section = Surroundings(text="Before. 30 days. After.", span=Span(start=0, end=23))
    narrow = passage("30 days.", span=Span(start=8, end=16), surroundings=section)
    stack.gateway.retriever.passages = [narrow]
    stack.engine.reply = lambda _: "30 days [1]."
    async with stack.openai() as client:
        answer = await client.chat.completions.create(
            model="support", messages=[{"role": "user", "content": "How long?"}]
        )
    asked = stack.gateway.retriever.searches[-1]
    assert (asked.expand, asked.diversity) == ("section", 0.5)
    (sent,) = stack.engine.generations()
    assert "Before. 30 days. After." in sent.body["messages"][-1]["content"]
    (citation,) = (answer.model_extra or {})["citations"]
    assert (citation["text"], citation["span"]) == ("30 days.", {"start": 8, "end": 16})


async def test_an_abstention_streams_like_any_answer(stack: ChatStack) -> None:
    async with stack.openai() as client:
        stream = await client.chat.completions.create(
            model="support", messages=[{"role": "user", "content": "How long?"}], stream=True
        )
        chunks = [chunk async for chunk in stream]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == (
        "I do not know."
    )
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage is not None
    assert (chunks[-1].model_extra or {})["inkstone"]["outcome"] == "abstained"
    (row,) = await stack.ledger()
    assert (row["outcome"], row["status"], row["replica"]) == ("abstained", 200, None)
    assert await stack.metric("abstentions_total") == 1
    assert await stack.metric("retrieval_empty_total") == 1
    assert await stack.metric("stage_seconds_count", stage="first_token") == 0


async def test_where_json_is_expected_an_abstention_is_a_refusal(stack: ChatStack) -> None:
    await stack.bind(retrieval=RETRIEVAL, profile={**PROFILE, "output_schema": {"type": "object"}})
    async with stack.openai() as client:
        answer = await client.chat.completions.create(
            model="support", messages=[{"role": "user", "content": "How long?"}], n=2
        )
    assert [c.message.refusal for c in answer.choices] == ["I do not know."] * 2
    assert [c.message.content for c in answer.choices] == [None, None]
    assert (answer.model_extra or {})["inkstone"]["outcome"] == "abstained"
    streamed = await stack.ask(stream=True)
    assert '"refusal":"I do not know."' in streamed.body


async def test_a_caller_who_offers_tools_is_not_turned_away(stack: ChatStack) -> None:
    tools = [{"type": "function", "function": {"name": "clock", "parameters": {}}}]
    reply = await stack.ask(tools=tools)
    assert len(stack.engine.generations()) == 1
    assert reply.body["inkstone"]["outcome"] == "answered"


async def test_a_model_that_says_so_abstains_too(stack: ChatStack) -> None:
    stack.gateway.retriever.passages = [passage("near", similarity=0.9)]
    stack.engine.reply = lambda _: "Thank you! I do not know. Anything else?"
    for fields in ({}, {"stream": True}):
        body: dict[str, Any] = fields
        await stack.ask(**body)
    assert [row["outcome"] for row in await stack.ledger(2)] == ["abstained", "abstained"]


async def test_a_failed_retrieval_fails_the_request_by_default(stack: ChatStack) -> None:
    stack.gateway.retriever.failure = UpstreamFailed("the index is gone")
    for fields in ({}, {"stream": True}):
        body: dict[str, Any] = fields
        reply = await stack.ask(**body)
        assert (reply.status, reply.code) == (502, "retriever_failed")
    rows = await stack.ledger(2)
    assert {row["error_code"] for row in rows} == {"retriever_failed"}
    assert {row["status"] for row in rows} == {502}
    assert stack.engine.generations() == []


async def test_a_release_may_answer_without_and_says_so(stack: ChatStack) -> None:
    await stack.bind(retrieval=LENIENT)
    stack.gateway.retriever.failure = UpstreamFailed("the index is gone")
    stack.engine.reply = lambda _: "Perhaps a week [1]."
    reply = await stack.ask("How long?")
    assert reply.status == 200
    assert reply.body["choices"][0]["message"]["content"] == "Perhaps a week."
    assert reply.body["citations"] == []
    summary = reply.body["inkstone"]["retrieval"]
    assert (summary["enabled"], summary["grounded"], summary["passages"]) == (True, False, 0)
    assert stack.engine.generations()[0].body["messages"][-1]["content"] == "Question: How long?"
    assert await stack.metric("ungrounded_total") == 1


async def test_a_slow_retriever_is_a_504(tmp_path: Path) -> None:
    async with chat_stack(tmp_path, search_timeout_seconds=0.05) as stack:
        stack.gateway.retriever.delay_seconds = 5
        await stack.bind(retrieval=RETRIEVAL)
        reply = await stack.ask()
        assert (reply.status, reply.code) == (504, "retriever_timeout")
        await stack.bind(retrieval=LENIENT)
        assert (await stack.ask()).status == 200


async def test_an_unknown_collection_is_named(stack: ChatStack) -> None:
    await stack.bind(retrieval=LENIENT)
    stack.gateway.retriever.unknown_collections = {"handbook"}
    reply = await stack.ask()
    assert (reply.status, reply.code) == (404, "collection_not_found")
