"""The prompt that an assistant would be asked with, shown by the gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.fakes.retriever import passage
from tests.service.gateway.chat_stack import ChatStack, chat_stack

pytestmark = pytest.mark.anyio

PATH = "/admin/assistants/support/prompt"
PROFILE = {
    "system": "출처를 밝혀 답하세요.",
    "few_shot": [{"user": "언제 여나요?", "assistant": "아홉 시입니다 [1]."}],
}


@pytest.fixture(scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ChatStack]:
    async with chat_stack(tmp_path_factory.mktemp("stack")) as made:
        await made.bind(profile=PROFILE, retrieval={"collections": ["handbook"], "top_k": 2})
        yield made


@pytest.fixture
def stack(shared: ChatStack) -> ChatStack:
    shared.gateway.retriever.passages = []
    shared.gateway.retriever.searches.clear()
    shared.engine.requests.clear()
    return shared


def asked(*turns: str) -> dict[str, Any]:
    roles = ("user", "assistant")
    return {"messages": [{"role": roles[n % 2], "content": text} for n, text in enumerate(turns)]}


async def test_it_is_the_one_that_the_engine_gets(stack: ChatStack) -> None:
    stack.gateway.retriever.passages = [passage("환불은 14일입니다."), passage("교환은 7일입니다.")]
    body = asked("환불은 며칠?")
    shown = (await stack.gateway.admin.post(PATH, json=body)).body
    assert stack.engine.generations() == []
    await stack.ask(**body)
    assert stack.engine.generations()[-1].body["messages"] == shown["messages"]
    assert shown["release"] == "support/1"
    assert [one["document_id"] for one in shown["passages"]] == ["doc-1", "doc-1"]
    assert shown["passages"][0]["text"] == "환불은 14일입니다."


async def test_a_follow_up_is_searched_for_as_a_request_is(stack: ChatStack) -> None:
    stack.gateway.retriever.passages = [passage("Shipping to Korea takes a week.")]
    body = asked("How long does shipping to Canada take?", "Two weeks.", "And to Korea?")
    await stack.gateway.admin.post(PATH, json=body)
    await stack.ask(**body)
    first, other = stack.gateway.retriever.searches
    assert first == other
    assert "shipping" in first.query


async def test_nothing_found_is_answered_without_the_model(stack: ChatStack) -> None:
    shown = (await stack.gateway.admin.post(PATH, json=asked("누가 주인인가요?"))).body
    assert shown["abstention"] == "제가 가진 문서에서는 답을 찾을 수 없습니다."
    assert shown["messages"] == []


async def test_what_does_not_fit_is_left_out_as_for_a_request(stack: ChatStack) -> None:
    long = "word " * 900
    stack.gateway.retriever.passages = [passage(long), passage(long)]
    shown = (await stack.gateway.admin.post(PATH, json=asked("How long?"))).body
    assert len(shown["passages"]) == 1


async def test_only_an_operator_of_the_tenant_may_see_it(stack: ChatStack) -> None:
    body = asked("Hello?")
    assert (await stack.gateway.application.post(PATH, json=body)).status == 403
    refused = await stack.gateway.neighbour.post(PATH, json=body)
    assert (refused.status, refused.code) == (404, "assistant_not_found")
    broken = await stack.gateway.admin.post(PATH, json=asked("Hello?", "Hi."))
    assert (broken.status, broken.code) == (400, "last_message_not_a_question")
