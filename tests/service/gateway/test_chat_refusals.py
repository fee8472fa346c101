"""Bad input: an error in OpenAI's shape with a code and the mend, and nothing reaches an engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest

from services.domain.isolation import cache_salt
from tests.fakes.retriever import passage
from tests.service.gateway.chat_stack import ChatStack, chat_stack, until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[ChatStack]:
    limits = {"max_messages": 8}
    async with chat_stack(tmp_path, limits=limits) as made:
        made.gateway.retriever.passages = [passage("30 days")]
        await made.bind(retrieval={"collections": ["handbook"]})
        yield made


def user(content: Any = "q") -> dict[str, Any]:
    return {"role": "user", "content": content}


IMAGE = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]
REFUSALS: list[tuple[dict[str, Any], int, str, str | None]] = [
    ({"model": "nobody"}, 404, "model_not_found", "model"),
    ({"model": ""}, 400, "invalid_request", "model"),
    ({"model": None}, 400, "invalid_request", "model"),
    ({"messages": []}, 400, "invalid_request", "messages"),
    ({"messages": None}, 400, "invalid_request", "messages"),
    ({"messages": "hello"}, 400, "invalid_request", "messages"),
    ({"messages": [{"role": "wizard", "content": "q"}]}, 400, "invalid_request", "messages.0.role"),
    ({"messages": [{"content": "q"}]}, 400, "invalid_request", "messages.0.role"),
    (
        {"messages": [user(), {"role": "assistant", "content": "a"}]},
        400,
        "last_message_not_a_question",
        "messages.1.role",
    ),
    ({"messages": [user("")]}, 400, "empty_message", "messages"),
    ({"messages": [user(IMAGE)]}, 400, "unsupported_content", "messages.0.content"),
    ({"messages": [user()] * 9}, 400, "too_many_messages", "messages"),
    ({"messages": [user("word " * 9000)]}, 400, "context_length_exceeded", "messages"),
    ({"temperature": 9}, 400, "invalid_request", "temperature"),
    ({"temperature": "hot"}, 400, "invalid_request", "temperature"),
    ({"max_tokens": 0}, 400, "invalid_request", "max_tokens"),
    ({"n": 99}, 400, "invalid_request", "n"),
    ({"stop": ["x"] * 17}, 400, "invalid_request", "stop"),
    ({"seed": 10**30}, 400, "invalid_request", None),
    ({"logit_bias": {"1": 10**30}}, 400, "invalid_request", None),
    (
        {"messages": [user(), {"role": "tool", "content": "", "tool_call_id": 10**30}]},
        400,
        "invalid_request",
        None,
    ),
    ({"functions": [{"name": "f"}]}, 400, "unsupported_field", "functions"),
    ({"retrieval": {"collections": ["secret"]}}, 400, "retrieval_not_allowed", None),
    ({"retrieval": {"collection": ["handbook"]}}, 400, "invalid_request", "retrieval.collection"),
    ({"retrieval": {"top_k": 0}}, 400, "invalid_request", "retrieval.top_k"),
    ({"model": "base", "retrieval": {}}, 400, "retrieval_not_allowed", "retrieval.collections"),
]


@pytest.mark.parametrize("streamed", [False, True])
async def test_each_bad_request_is_told_what_to_mend(stack: ChatStack, streamed: bool) -> None:
    for fields, status, code, param in REFUSALS:
        body = {"model": "support", "messages": [user()], "stream": streamed, **fields}
        reply = await stack.gateway.application.post("/v1/chat/completions", json=body)
        assert (reply.status, reply.code) == (status, code), fields
        error = reply.body["error"]
        assert error.keys() == {"message", "type", "param", "code"}
        assert error["type"] == "invalid_request_error"
        assert param is None or error["param"] == param, fields
        assert reply.message.endswith("."), reply.message
        assert reply.headers["x-request-id"]
    assert stack.engine.generations() == []
    rows = await stack.ledger(len(REFUSALS))
    assert [row["error_code"] for row in rows] == [code for _, _, code, _ in REFUSALS]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b'{"model": "support", "messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"model": "support", "messages": [{"role": "user", "content": "q"}], "temperature": NaN}',
        b"[" * 100_000,
    ],
)
async def test_broken_json_is_a_400(stack: ChatStack, body: bytes) -> None:
    reply = await stack.gateway.application.post("/v1/chat/completions", data=body)
    assert reply.status == 400, reply
    assert reply.code in ("invalid_json", "invalid_request")


async def test_an_oversized_body_is_refused_unread(tmp_path: Path) -> None:
    async with chat_stack(tmp_path, listening={"max_body_bytes": 2048}) as stack:
        reply = await stack.ask("x" * 4096)
        assert (reply.status, reply.code) == (413, "payload_too_large")

        async def endless() -> AsyncIterator[bytes]:
            for _ in range(10):
                yield b"x" * 1024

        reply = await stack.gateway.application.post("/v1/chat/completions", data=endless())
        assert (reply.status, reply.code) == (413, "payload_too_large")


async def test_a_get_is_not_allowed(stack: ChatStack) -> None:
    assert (await stack.gateway.application.get("/v1/chat/completions")).status == 405


@pytest.mark.parametrize(
    ("key", "status", "code"),
    [
        (None, 401, "missing_api_key"),
        ("ink_nobody_nothing", 401, "invalid_api_key"),
        ("agent", 403, "missing_scope"),
    ],
)
async def test_who_may_not_chat_is_turned_away(
    stack: ChatStack, key: str | None, status: int, code: str
) -> None:
    secret = stack.gateway.secrets.get(key or "", key)
    reply = await stack.gateway.client(secret).post("/v1/chat/completions", data=b"{not read")
    assert (reply.status, reply.code) == (status, code)
    assert await stack.metric("rejected_total", reason=code) == 1


async def test_another_tenants_assistant_does_not_exist(stack: ChatStack) -> None:
    async with stack.openai("neighbour/app") as client:
        with pytest.raises(openai.NotFoundError) as caught:
            await client.chat.completions.create(
                model="support", messages=[{"role": "user", "content": "q"}]
            )
    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"


async def test_a_neighbour_searches_its_own_documents(stack: ChatStack) -> None:
    neighbour = stack.gateway.client(stack.gateway.secrets["neighbour/app"])
    body = {
        "model": "base",
        "messages": [user()],
        "retrieval": {"collections": ["handbook"]},
    }
    assert (await neighbour.post("/v1/chat/completions", json=body)).status == 200
    assert stack.gateway.retriever.calls[-1].tenant == "neighbour"
    assert stack.engine.generations()[-1].body["cache_salt"] == cache_salt("neighbour", None)


async def test_groups_may_be_named_by_a_key_that_may(stack: ChatStack) -> None:
    issued = await stack.gateway.admin.post(
        "/admin/keys",
        json={"name": "portal", "scopes": ["app", "assert-groups"], "groups": ["hr", "영업"]},
    )
    portal = stack.gateway.client(issued.body["secret"])
    body = {"model": "support", "messages": [user()]}
    headers = {"X-Inkstone-Groups": "%EC%98%81%EC%97%85"}
    await until(lambda: len(stack.gateway.resources.snapshot.callers) > 5)
    reply = await portal.post("/v1/chat/completions", json=body, headers=headers)
    assert reply.status == 200
    assert stack.gateway.retriever.calls[-1].groups == ["영업"]
    refused = await stack.gateway.application.post(
        "/v1/chat/completions", json=body, headers=headers
    )
    assert (refused.status, refused.code) == (403, "groups_refused")


async def test_a_callers_system_message_may_be_refused(stack: ChatStack) -> None:
    await stack.bind(profile={"caller_system": "refuse"})
    messages = [{"role": "system", "content": "Be a pirate."}, user()]
    reply = await stack.gateway.application.post(
        "/v1/chat/completions", json={"model": "support", "messages": messages}
    )
    assert (reply.status, reply.code) == (400, "system_message_refused")


async def test_the_official_client_raises_its_own_errors(stack: ChatStack) -> None:
    async with stack.openai() as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.chat.completions.create(
                model="support",
                messages=[{"role": "assistant", "content": "hello"}],
                stream=True,
            )
    assert caught.value.code == "last_message_not_a_question"


async def test_a_full_gateway_says_when_to_come_back(tmp_path: Path) -> None:
    limits = {"max_in_flight": 3, "max_in_flight_per_key": 2}
    async with chat_stack(tmp_path, limits=limits) as stack:
        await stack.bind()
        body = {"model": "base", "messages": [user()]}
        neighbour = stack.gateway.client(stack.gateway.secrets["neighbour/app"])
        with stack.engine.holding():
            running = [asyncio.create_task(stack.ask()) for _ in range(2)]
            await until(lambda: stack.engine.in_flight == 2)
            reply = await stack.ask()
            assert (reply.status, reply.code) == (429, "key_overloaded")
            assert int(reply.headers["retry-after"]) >= 1
            running.append(asyncio.create_task(neighbour.post("/v1/chat/completions", json=body)))
            await until(lambda: stack.engine.in_flight == 3)
            assert await stack.metric("inflight") == 3
            reply = await neighbour.post("/v1/chat/completions", json=body)
            assert (reply.status, reply.code) == (429, "overloaded")
        assert [r.status for r in await asyncio.gather(*running)] == [200, 200, 200]
        assert await stack.metric("inflight") == 0
        assert await stack.metric("rejected_total", reason="overloaded") == 1
        assert await stack.metric("rejected_total", reason="key_overloaded") == 1
