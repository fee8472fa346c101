"""Apps that go away: the engine stops at once, and what was used is still settled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from starlette.types import Message

from services.contracts.keys import Scope
from tests.fakes.retriever import passage
from tests.service.gateway.chat_stack import ChatStack, chat_stack, until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[ChatStack]:
    async with chat_stack(tmp_path) as made:
        made.gateway.retriever.passages = [passage("30 days")]
        await made.bind(retrieval={"collections": ["handbook"]})
        made.engine.reply = lambda _: "one two three four five"
        yield made


def post(stack: ChatStack, *, stream: bool) -> Any:
    client = stack.gateway.application
    body = {
        "model": "support",
        "stream": stream,
        "messages": [{"role": "user", "content": "How long?"}],
    }
    return stack.gateway.session.post(
        f"{stack.gateway.base_url}/v1/chat/completions",
        json=body,
        headers={"Authorization": f"Bearer {client.key}"},
    )


async def test_leaving_inside_a_stream_stops_the_engine_and_settles_what_was_used(
    stack: ChatStack,
) -> None:
    with stack.engine.holding(after_tokens=3):
        async with post(stack, stream=True) as reply:
            seen = b""
            async for data in reply.content.iter_any():
                seen += data
                if b"three" in seen:
                    break
            reply.close()
        await until(lambda: stack.engine.generations()[-1].disconnected)
        await until(lambda: stack.engine.in_flight == 0)
    (row,) = await stack.ledger()
    assert (row["status"], row["error_code"]) == (499, "client_gone")
    assert (row["disconnected"], row["streamed"]) == (True, True)
    assert row["completion_tokens"] == 3
    assert row["prompt_tokens"] > 0
    assert await stack.metric("inflight") == 0
    assert (
        await stack.metric(
            "requests_total", assistant="support", release="support/1", arm="stable", status="499"
        )
        == 1
    )


@pytest.mark.parametrize("streamed", [False, True])
async def test_leaving_before_the_first_token_stops_the_engine_and_charges_the_prompt(
    stack: ChatStack, streamed: bool
) -> None:
    with stack.engine.holding():
        asking = asyncio.create_task(_ask(stack, streamed))
        await until(lambda: stack.engine.in_flight == 1)
        asking.cancel()
        await until(lambda: stack.engine.generations()[-1].disconnected)
        await until(lambda: stack.engine.in_flight == 0)
    (row,) = await stack.ledger()
    assert (row["status"], row["disconnected"], row["completion_tokens"]) == (499, True, 0)
    assert row["prompt_tokens"] > 0


async def _ask(stack: ChatStack, streamed: bool) -> None:
    async with post(stack, stream=streamed) as reply:
        await reply.read()


async def test_leaving_while_passages_are_looked_up_asks_no_engine(stack: ChatStack) -> None:
    stack.gateway.retriever.delay_seconds = 5
    asking = asyncio.create_task(_ask(stack, True))
    await until(lambda: len(stack.gateway.retriever.calls) == 1)
    asking.cancel()
    (row,) = await stack.ledger()
    assert (row["status"], row["prompt_tokens"]) == (499, 0)
    assert stack.engine.generations() == []


async def test_leaving_while_sending_the_question_is_no_error(stack: ChatStack) -> None:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", int(stack.gateway.base_url.rsplit(":", 1)[1])
    )
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
        f"Authorization: Bearer {stack.gateway.application.key}\r\n\r\n{{"
    )
    writer.write(head.encode())
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    (row,) = await stack.ledger()
    assert (row["status"], row["assistant"]) == (499, None)
    assert reader is not None


async def test_the_next_request_is_not_disturbed(stack: ChatStack) -> None:
    for _ in range(3):
        with stack.engine.holding(after_tokens=1):
            asking = asyncio.create_task(_ask(stack, True))
            await until(lambda: stack.engine.in_flight == 1)
            asking.cancel()
            await until(lambda: stack.engine.in_flight == 0)
        assert (await stack.ask(stream=True)).body.endswith("[DONE]\n\n")
    assert [row["status"] for row in await stack.ledger(6)] == [499, 200] * 3


async def test_an_app_that_reads_slowly_loses_nothing(stack: ChatStack) -> None:
    stack.engine.reply = lambda _: "word " * 20_000
    stack.engine.max_model_len = 100_000
    await until(lambda: stack.gateway.resources.snapshot.replicas[0].max_model_len == 100_000)
    await stack.bind(profile={"sampling": {"max_tokens": 50_000}})
    async with post(stack, stream=True) as reply:
        assert reply.status == 200
        await asyncio.sleep(0.2)
        body = await reply.read()
    assert body.count(b"word") == 20_000
    assert body.endswith(b"data: [DONE]\n\n")


async def test_a_request_that_the_stopping_gateway_ends_is_settled(stack: ChatStack) -> None:
    resources = stack.gateway.resources
    caller = next(c for c in resources.snapshot.callers.values() if c.may(Scope.APP))
    question = {"model": "support", "messages": [{"role": "user", "content": "q"}]}
    incoming: asyncio.Queue[Message] = asyncio.Queue()
    incoming.put_nowait({"type": "http.request", "body": orjson.dumps(question)})

    async def send(_: Message) -> None:
        pass

    with stack.engine.holding():
        answering = asyncio.create_task(resources.answering.answer(caller, incoming.get, send))
        await until(lambda: stack.engine.in_flight == 1)
        answering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await answering
        await until(lambda: stack.engine.generations()[-1].disconnected)
    (row,) = await stack.ledger()
    assert (row["status"], row["error_code"]) == (503, "stopping")
