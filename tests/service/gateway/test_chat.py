"""The main job through the official client: cited answers, whole and streamed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncStream
from openai.types.chat import ChatCompletionChunk

from services.domain.isolation import cache_salt
from tests.fakes.retriever import passage
from tests.service.gateway.chat_stack import ChatStack, chat_stack

pytestmark = pytest.mark.anyio

RETRIEVAL = {"collections": ["handbook"], "top_k": 3}
REFUND = passage("환불은 30일 안에 가능합니다.", document_id="환불 규정", title="환불 규정")
POSTAGE = passage("Postage is ours.", document_id="postage", title="Postage", uri="")


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[ChatStack]:
    async with chat_stack(tmp_path) as made:
        made.gateway.retriever.passages = [REFUND, POSTAGE]
        made.engine.reply = lambda call: f"\n30일입니다 [1], {call.marker or 'base'} [9]."
        yield made


def user(content: str) -> list[Any]:
    return [{"role": "user", "content": content}]


async def collect(
    stream: AsyncStream[ChatCompletionChunk],
) -> tuple[str, list[ChatCompletionChunk]]:
    chunks = [chunk async for chunk in stream]
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    return text, chunks


async def test_an_assistant_answers_from_its_passages_with_citations(stack: ChatStack) -> None:
    formal = await stack.adapter("formal")
    await stack.bind(retrieval=RETRIEVAL, adapter=formal)
    async with stack.openai() as client:
        answer = await client.chat.completions.create(
            model="support", messages=user("환불 기간은 얼마인가요?")
        )
    assert answer.model == "support"
    assert answer.choices[0].message.content == "30일입니다 [1], formal."
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    extras = answer.model_extra or {}
    (citation,) = extras["citations"]
    assert citation["n"] == 1
    assert citation["document_id"] == "환불 규정"
    assert citation["text"] == REFUND.text
    block = extras["inkstone"]
    assert block["assistant"] == "support"
    assert block["release"] == "support/1"
    assert block["adapter"] == formal
    assert block["replica"] == "replica-1"
    assert block["outcome"] == "answered"
    assert block["invalid_citations"] == 1
    assert 0 < block["support"] == citation["support"] < 1
    (row,) = await stack.ledger(1)
    assert row["support"] == block["support"]
    assert block["retrieval"] == {
        "enabled": True,
        "grounded": True,
        "passages": 2,
        "dropped": 0,
        "corpus_revision": 1,
        "answerability": None,
        "query": None,
    }
    assert block["timings"]["total_ms"] > 0
    annotations = answer.choices[0].message.annotations
    assert annotations is not None
    assert annotations[0].url_citation.title == "환불 규정"


async def test_a_stream_says_the_same_and_closes_with_usage_and_citations(
    stack: ChatStack,
) -> None:
    await stack.bind(retrieval=RETRIEVAL)
    async with stack.openai() as client:
        whole = await client.chat.completions.create(model="support", messages=user("환불?"))
        stream = await client.chat.completions.create(
            model="support", messages=user("환불?"), stream=True
        )
        text, chunks = await collect(stream)
    assert text == whole.choices[0].message.content == "30일입니다 [1], base."
    assert chunks[0].choices[0].delta.role == "assistant"
    assert {chunk.model for chunk in chunks} == {"support"}
    assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    last, ended = chunks[-1], chunks[-2]
    assert last.choices == []
    assert last.usage is not None
    assert whole.usage is not None
    assert last.usage.completion_tokens == whole.usage.completion_tokens
    extras, whole_extras = last.model_extra or {}, whole.model_extra or {}
    assert extras["citations"] == whole_extras["citations"]
    assert extras["inkstone"]["timings"]["first_token_ms"] > 0
    assert ended.choices[0].finish_reason == "stop"
    delta = ended.choices[0].delta.model_extra or {}
    message = whole.choices[0].message.model_dump()
    assert delta["annotations"] == message["annotations"]


async def test_a_stream_ends_with_the_end_mark_and_names_its_release(stack: ChatStack) -> None:
    await stack.bind(retrieval=RETRIEVAL)
    reply = await stack.ask(stream=True)
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert reply.headers["x-inkstone-release"] == "support/1"
    assert reply.body.endswith("data: [DONE]\n\n")
    assert reply.body.count("[DONE]") == 1


async def test_the_engine_gets_what_the_gateway_resolved(stack: ChatStack) -> None:
    formal = await stack.adapter("formal")
    profile = {"system": "Be kind.", "sampling": {"max_tokens": 20, "stop": ["\n\n"]}}
    await stack.bind(retrieval=RETRIEVAL, adapter=formal, profile=profile)
    body = {
        "model": "support",
        "stream": True,
        "messages": [{"role": "system", "content": "Be brief."}, *user("How long?")],
        "stop": "END",
        "max_tokens": 500,
        "cache_salt": "mine",
        "priority": -5,
    }
    reply = await stack.gateway.application.post(
        "/v1/chat/completions", json=body, headers={"X-Request-Id": "req-7"}
    )
    assert reply.headers["x-request-id"] == "req-7"
    (sent,) = stack.engine.generations()
    assert sent.headers["x-request-id"] == "req-7"
    assert sent.body["model"] == formal
    assert sent.body["cache_salt"] == cache_salt("default", formal)
    assert sent.body["priority"] == 0
    assert sent.body["max_tokens"] == 20
    assert sent.body["stop"] == ["\n\n", "END"]
    assert sent.body["stream_options"] == {"include_usage": True, "continuous_usage_stats": True}
    assert sent.body["messages"] == [
        {"role": "system", "content": "Be kind.\n\nBe brief."},
        {
            "role": "user",
            "content": (
                "Passages:\n[1] 환불 규정\n환불은 30일 안에 가능합니다.\n"
                "[2] Postage\nPostage is ours.\n\nQuestion: How long?"
            ),
        },
    ]


async def test_a_profile_says_how_its_passages_stand_in_the_prompt(stack: ChatStack) -> None:
    context = {"passage": "[{number}] {title}\n{headings} ({page})\n{text}", "question_label": "Q:"}
    await stack.bind(retrieval=RETRIEVAL, profile={"context": context})
    found = passage("30 days.", title="Handbook", headings=["Handbook", "Returns", "Time"], page=4)
    stack.gateway.retriever.passages = [found]
    body = {"model": "support", "messages": user("How long?")}
    await stack.gateway.application.post("/v1/chat/completions", json=body)
    (sent,) = stack.engine.generations()
    assert sent.body["messages"][-1]["content"] == (
        "Passages:\n[1] Handbook\nReturns > Time (4)\n30 days.\n\nQ: How long?"
    )


async def test_a_profile_whose_passages_could_not_be_cited_is_refused(stack: ChatStack) -> None:
    reply = await stack.gateway.admin.put(
        "/admin/assistants/support", json={"profile": {"context": {"passage": "{text}"}}}
    )
    assert reply.status == 400
    error = reply.body["error"]
    assert "[{number}]" in error["message"]
    assert error["param"] == "profile.context.passage"


async def test_the_retriever_is_asked_in_the_callers_name(stack: ChatStack) -> None:
    await stack.bind(retrieval={**RETRIEVAL, "min_score": 0.4, "mode": "dense"})
    turns = [*user("Hello"), {"role": "assistant", "content": "Hi"}, *user("환불?")]
    body = {"model": "support", "messages": turns}
    await stack.gateway.application.post("/v1/chat/completions", json=body)
    (search,) = stack.gateway.retriever.searches
    assert (search.query, search.collections) == ("환불?", ["handbook"])
    assert (search.top_k, search.min_score, search.mode) == (3, 0.4, "dense")
    assert stack.gateway.retriever.calls[-1].tenant == "default"


async def test_a_request_may_narrow_retrieval_and_is_marked(stack: ChatStack) -> None:
    await stack.bind(retrieval=RETRIEVAL)
    async with stack.openai() as client:
        answer = await client.chat.completions.create(
            model="support",
            messages=user("환불?"),
            extra_body={"retrieval": {"top_k": 1}, "conversation_id": "c"},
        )
    assert (answer.model_extra or {})["inkstone"]["retrieval"]["passages"] == 1
    (row,) = await stack.ledger()
    assert row["overridden"] is True


async def test_retrieval_can_be_switched_off_for_a_request(stack: ChatStack) -> None:
    await stack.bind(retrieval=RETRIEVAL)
    reply = await stack.ask(retrieval={"enabled": False})
    assert reply.body["inkstone"]["retrieval"]["enabled"] is False
    assert reply.body["inkstone"]["retrieval"]["grounded"] is False
    assert reply.body["choices"][0]["message"]["content"] == "30일입니다, base."
    assert stack.gateway.retriever.searches == []


async def test_an_assistant_without_retrieval_leaves_brackets_alone(stack: ChatStack) -> None:
    await stack.bind()
    stack.engine.reply = lambda _: "x = a[1]"
    reply = await stack.ask("Write code.")
    assert reply.body["choices"][0]["message"]["content"] == "x = a[1]"
    assert reply.body["citations"] == []
    (sent,) = stack.engine.generations()
    assert sent.body["messages"] == user("Write code.")


async def test_a_version_and_the_base_can_be_called_directly(stack: ChatStack) -> None:
    formal = await stack.adapter("formal")
    await stack.bind(adapter=formal)
    stack.engine.reply = lambda call: call.marker or "base"
    for model, said in ((formal, "formal"), ("base", "base")):
        reply = await stack.ask(model=model)
        assert reply.body["model"] == model
        assert reply.body["choices"][0]["message"]["content"] == said
        assert reply.body["inkstone"]["release"] is None
        assert "x-inkstone-release" not in reply.headers
    sent = stack.engine.generations()[-1].body
    assert sent["cache_salt"] == cache_salt("default", None)
    assert "max_tokens" not in sent
    assert "temperature" not in sent


async def test_a_direct_call_retrieves_what_it_names(stack: ChatStack) -> None:
    reply = await stack.ask("환불?", model="base", retrieval={"collections": ["handbook"]})
    assert reply.body["choices"][0]["message"]["content"] == "30일입니다 [1], base."
    assert len(reply.body["citations"]) == 1


async def test_several_choices_come_back_checked(stack: ChatStack) -> None:
    await stack.bind(retrieval=RETRIEVAL)
    reply = await stack.ask("환불?", n=2, temperature=0.7)
    texts = [choice["message"]["content"] for choice in reply.body["choices"]]
    assert texts == ["30일입니다 [1], base."] * 2
    assert reply.body["inkstone"]["invalid_citations"] == 2
    streamed = await stack.ask("환불?", n=2, temperature=0.7, stream=True)
    assert streamed.body.count('"finish_reason":"stop"') == 2


async def test_tools_pass_and_a_tools_result_needs_no_passages(stack: ChatStack) -> None:
    await stack.bind(retrieval=RETRIEVAL)
    call = {"id": "1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
    turns = [
        *user("몇 시인가요?"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "세 시"},
    ]
    tools = [{"type": "function", "function": {"name": "clock", "parameters": {}}}]
    stack.engine.reply = lambda _: "세 시입니다."
    async with stack.openai() as client:
        answer = await client.chat.completions.create(
            model="support",
            messages=turns,
            tools=tools,  # type: ignore[arg-type]  # plain JSON, as an app may send it
        )
    assert answer.choices[0].message.content == "세 시입니다."
    (sent,) = stack.engine.generations()
    assert sent.body["tools"] == tools
    assert sent.body["messages"][-1]["content"] == "세 시"
    assert stack.gateway.retriever.searches == []


async def test_a_schema_of_the_profile_is_enforced_and_its_json_is_left_alone(
    stack: ChatStack,
) -> None:
    schema = {"type": "object", "properties": {"citations": {"type": "array"}}}
    await stack.bind(retrieval=RETRIEVAL, profile={"output_schema": schema})
    stack.engine.reply = lambda _: '{"answer": "30 [9]", "citations": [2]}'
    reply = await stack.ask("환불?")
    assert reply.body["choices"][0]["message"]["content"] == (
        '{"answer": "30 [9]", "citations": [2]}'
    )
    assert [citation["n"] for citation in reply.body["citations"]] == [2]
    (sent,) = stack.engine.generations()
    assert sent.body["response_format"]["json_schema"]["schema"] == schema
    assert sent.body["response_format"]["json_schema"]["strict"] is True


async def test_passages_that_do_not_fit_are_dropped_and_said_so(stack: ChatStack) -> None:
    long = passage("word " * 2000, document_id="long")
    stack.gateway.retriever.passages = [REFUND, long]
    await stack.bind(retrieval=RETRIEVAL)
    reply = await stack.ask("환불?")
    summary = reply.body["inkstone"]["retrieval"]
    assert (summary["passages"], summary["dropped"]) == (1, 1)


async def test_the_ledger_and_the_metrics_know_of_every_answer(stack: ChatStack) -> None:
    formal = await stack.adapter("formal")
    await stack.bind(retrieval=RETRIEVAL, adapter=formal)
    stack.engine.knobs.token_delay_seconds = 0.01
    await stack.ask("환불?", stream=True)
    (row,) = await stack.ledger()
    assert row["tenant"] == "default"
    assert (row["assistant"], row["release"], row["arm"]) == ("support", "support/1", "stable")
    assert (row["adapter"], row["replica"]) == (formal, "replica-1")
    assert (row["status"], row["outcome"], row["error_code"]) == (200, "answered", None)
    assert row["prompt_tokens"] > 0
    assert row["completion_tokens"] == 4
    assert (row["passages"], row["cited"], row["invalid_citations"]) == (2, 1, 1)
    assert row["corpus_revision"] == 1
    assert row["streamed"] is True
    assert row["disconnected"] is False
    assert row["total_ms"] >= row["retrieve_ms"] > 0
    labels = {"assistant": "support", "release": "support/1", "arm": "stable", "status": "200"}
    assert await stack.metric("requests_total", **labels) == 1
    assert await stack.metric("tokens_total", assistant="support", direction="completion") == 4
    assert await stack.metric("time_to_first_token_seconds_count", assistant="support") == 1
    assert await stack.metric("inter_token_seconds_count", assistant="support") > 0
    assert await stack.metric("inflight") == 0
    exposed = await stack.gateway.application.get("/metrics")
    assert "inkstone_ledger_lag_seconds" in exposed.body


async def test_the_route_stands_in_the_description_of_the_api(stack: ChatStack) -> None:
    described = (await stack.gateway.application.get("/openapi.json")).body
    operation = described["paths"]["/v1/chat/completions"]["post"]
    assert "event stream" in operation["description"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert schema["$ref"].endswith("ChatRequest")


async def test_the_key_sees_what_it_may_call(stack: ChatStack) -> None:
    formal = await stack.adapter("formal")
    await stack.bind(adapter=formal)
    async with stack.openai() as client:
        listed = [model.id async for model in client.models.list()]
        one = await client.models.retrieve(formal)
    assert listed == ["support", formal, "base"]
    assert one.id == formal
    neighbour = stack.gateway.client(stack.gateway.secrets["neighbour/app"])
    assert [m["id"] for m in (await neighbour.get("/v1/models")).body["data"]] == ["base"]
    missing = await neighbour.get("/v1/models/support")
    assert (missing.status, missing.code) == (404, "model_not_found")


async def test_the_ledger_tells_how_long_an_engine_took_between_tokens(stack: ChatStack) -> None:
    await stack.bind()
    stack.engine.reply = lambda _: "one two three four five"
    await stack.ask("환불?")
    async with stack.openai() as client:
        with stack.engine.holding(after_tokens=2):
            stream = await client.chat.completions.create(
                model="support", messages=user("환불?"), stream=True
            )
            await anext(aiter(stream))
            # From here on the gateway waits for the engine, as long as it stands still.
            await asyncio.sleep(0.3)
        await collect(stream)
    whole, streamed = await stack.ledger(2)
    assert whole["inter_token_ms"] is None
    later = streamed["completion_tokens"] - 1
    assert 100 < streamed["inter_token_ms"] * later < streamed["generate_ms"] + 1
