"""Engines that fail: the true status before the first token, an error event after it."""

from __future__ import annotations

import io
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import orjson
import pytest

from services.contracts.adapters import ReplicaReport
from tests.fakes.engine import FakeEngine
from tests.service.gateway.chat_stack import ENGINE_KEY, ChatStack, chat_stack, until

pytestmark = pytest.mark.anyio

QUICK = {
    "first_token_timeout_seconds": 0.3,
    "inter_token_timeout_seconds": 0.3,
    "total_timeout_seconds": 5.0,
}
BOTH_WAYS = pytest.mark.parametrize("streamed", [False, True])


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[ChatStack]:
    async with chat_stack(tmp_path, engine=QUICK) as made:
        await made.bind()
        made.engine.reply = lambda _: "one two three four"
        yield made


def events(body: str) -> list[dict[str, Any]]:
    return [
        orjson.loads(line.removeprefix("data: "))
        for line in body.splitlines()
        if line.startswith("data: {")
    ]


@BOTH_WAYS
async def test_a_full_engine_is_a_503_with_a_time_to_come_back(
    stack: ChatStack, streamed: bool
) -> None:
    stack.engine.knobs.overloaded = True
    reply = await stack.ask(stream=streamed)
    assert (reply.status, reply.code) == (503, "engine_overloaded")
    assert int(reply.headers["retry-after"]) >= 1
    assert reply.headers["content-type"] == "application/json"
    (row,) = await stack.ledger()
    assert (row["status"], row["error_code"]) == (503, "engine_overloaded")


@BOTH_WAYS
async def test_a_dead_engine_is_a_502(stack: ChatStack, streamed: bool) -> None:
    stack.engine.die()
    reply = await stack.ask(stream=streamed)
    assert (reply.status, reply.code) == (502, "engine_failed")
    assert "EngineCore" not in reply.message


@BOTH_WAYS
async def test_what_the_engine_refuses_is_the_callers_error(
    stack: ChatStack, streamed: bool
) -> None:
    await stack.freeze()
    stack.engine.max_model_len = 10
    reply = await stack.ask("word " * 30, model="base", max_tokens=5, stream=streamed)
    assert (reply.status, reply.code) == (400, "engine_rejected_request")
    assert "maximum context length" in reply.message


@pytest.mark.parametrize(("way", "code"), [("event", "engine_failed"), ("cut", "engine_broke_off")])
async def test_a_failure_inside_a_stream_is_an_error_event(
    stack: ChatStack, way: Any, code: str
) -> None:
    stack.engine.knobs.break_after_tokens = 2
    stack.engine.knobs.break_by = way
    stack.engine.knobs.token_delay_seconds = 0.05
    reply = await stack.ask(stream=True)
    assert reply.status == 200
    assert "event: error\n" in reply.body
    assert "[DONE]" not in reply.body
    *answer, last = events(reply.body)
    assert "".join(e["choices"][0]["delta"].get("content", "") for e in answer) == "one two"
    assert last["error"]["code"] == code
    (row,) = await stack.ledger()
    assert (row["status"], row["error_code"]) == (502, code)
    assert row["completion_tokens"] == 2
    assert (
        await stack.metric(
            "requests_total", assistant="support", release="support/1", arm="stable", status="502"
        )
        == 1
    )


async def test_tokens_that_come_together_with_a_failure_are_not_lost(stack: ChatStack) -> None:
    stack.engine.knobs.break_after_tokens = 3
    reply = await stack.ask(stream=True)
    assert reply.status == 200
    *answer, last = events(reply.body)
    assert "".join(e["choices"][0]["delta"].get("content", "") for e in answer) == "one two three"
    assert last["error"]["code"] == "engine_failed"
    (row,) = await stack.ledger()
    assert (row["status"], row["completion_tokens"]) == (502, 3)


async def test_the_official_client_raises_the_error_inside_a_stream(stack: ChatStack) -> None:
    stack.engine.knobs.break_after_tokens = 2
    stack.engine.knobs.token_delay_seconds = 0.05
    said = io.StringIO()

    async def read() -> None:
        async with stack.openai() as client:
            stream = await client.chat.completions.create(
                model="support", messages=[{"role": "user", "content": "q"}], stream=True
            )
            async for chunk in stream:
                said.write(chunk.choices[0].delta.content or "")

    with pytest.raises(openai.APIError, match="The engine failed"):
        await read()
    assert said.getvalue() == "one two"


@pytest.mark.parametrize("way", ["event", "cut"])
async def test_a_failure_before_the_first_token_is_a_true_status(
    stack: ChatStack, way: Any
) -> None:
    stack.engine.knobs.break_after_tokens = 0
    stack.engine.knobs.break_by = way
    reply = await stack.ask(stream=True)
    assert reply.status == 502
    assert reply.body["error"]["code"] in ("engine_failed", "engine_broke_off")


async def test_a_slow_first_token_is_a_504(stack: ChatStack) -> None:
    stack.engine.knobs.first_token_delay_seconds = 5
    reply = await stack.ask(stream=True)
    assert (reply.status, reply.code) == (504, "engine_timeout")
    assert "first token" in reply.message
    await until(lambda: stack.engine.generations()[-1].disconnected)


async def test_a_stream_that_stalls_ends_with_an_error_event(stack: ChatStack) -> None:
    with stack.engine.holding(after_tokens=2):
        reply = await stack.ask(stream=True)
        await until(lambda: stack.engine.generations()[-1].disconnected)
    assert reply.status == 200
    assert events(reply.body)[-1]["error"]["code"] == "engine_timeout"
    assert "next token" in events(reply.body)[-1]["error"]["message"]
    (row,) = await stack.ledger()
    assert (row["status"], row["completion_tokens"]) == (504, 2)


@BOTH_WAYS
async def test_an_answer_without_end_is_cut_at_the_total(tmp_path: Path, streamed: bool) -> None:
    async with chat_stack(tmp_path, engine={"total_timeout_seconds": 0.5}) as stack:
        await stack.bind()
        stack.engine.reply = lambda _: "word " * 500
        stack.engine.knobs.token_delay_seconds = 0.05
        reply = await stack.ask(stream=streamed)
        assert reply.status == (200 if streamed else 504)
        assert "finish its answer" in (reply.body if streamed else reply.message)
        await until(lambda: stack.engine.in_flight == 0)


@BOTH_WAYS
async def test_without_a_replica_there_is_a_503(stack: ChatStack, streamed: bool) -> None:
    version = await stack.adapter("formal")
    stack.agents[0].proves = False
    await until(lambda: ("default", version) in stack.gateway.resources.snapshot.adapters)
    reply = await stack.ask(model=version, stream=streamed)
    assert (reply.status, reply.code) == (503, "no_replica")
    assert int(reply.headers["retry-after"]) >= 1
    assert stack.engine.generations() == []


async def add_dead_replica(stack: ChatStack) -> None:
    """Report a ready replica where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    report: ReplicaReport = stack.agents[0].report()
    body = report.model_dump(mode="json")
    body |= {"replica": "a-dead-one", "endpoint": f"http://127.0.0.1:{port}"}
    assert (await stack.gateway.agent.post("/internal/replicas/heartbeat", json=body)).status == 200
    await until(lambda: len(stack.gateway.resources.snapshot.replicas) == 2)


@BOTH_WAYS
async def test_a_replica_that_cannot_be_reached_is_passed_over(
    stack: ChatStack, streamed: bool
) -> None:
    await add_dead_replica(stack)
    for _ in range(4):
        assert (await stack.ask(stream=streamed)).status == 200
    assert {row["replica"] for row in await stack.ledger(4)} == {"replica-1"}


@BOTH_WAYS
async def test_only_unreachable_replicas_are_a_503(tmp_path: Path, streamed: bool) -> None:
    async with chat_stack(tmp_path) as stack:
        await stack.bind()
        agent = stack.agents[0]
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            agent.endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        await until(lambda: stack.gateway.resources.snapshot.replicas[0].endpoint == agent.endpoint)
        reply = await stack.ask(stream=streamed)
        assert (reply.status, reply.code) == (503, "engine_unreachable")
        assert int(reply.headers["retry-after"]) >= 1


@BOTH_WAYS
async def test_a_full_replica_passes_the_request_on(tmp_path: Path, streamed: bool) -> None:
    full, free = FakeEngine(api_key=ENGINE_KEY), FakeEngine(api_key=ENGINE_KEY)
    async with chat_stack(tmp_path, full, free) as stack:
        await stack.bind()
        full.knobs.overloaded = True
        for _ in range(3):
            assert (await stack.ask(stream=streamed)).status == 200
        assert len(free.generations()) == 3
        free.knobs.overloaded = True
        assert (await stack.ask(stream=streamed)).code == "engine_overloaded"


@BOTH_WAYS
async def test_a_replica_that_lost_the_adapter_passes_the_request_on(
    tmp_path: Path, streamed: bool
) -> None:
    bare, whole = FakeEngine(api_key=ENGINE_KEY), FakeEngine(api_key=ENGINE_KEY)
    async with chat_stack(tmp_path, bare, whole) as stack:
        version = await stack.adapter("formal")
        await stack.bind(adapter=version)
        snapshot = stack.gateway.resources.snapshot
        await stack.freeze()
        bare.weights.unload(version)
        assert snapshot.replicas[0].adapters[version].state == "proven"
        reply = await stack.ask(stream=streamed)
        assert reply.status == 200
        assert len(whole.generations()) == 1


async def test_a_failure_inside_a_stream_is_never_tried_again(tmp_path: Path) -> None:
    engines = [FakeEngine(api_key=ENGINE_KEY) for _ in range(2)]
    async with chat_stack(tmp_path, *engines) as stack:
        await stack.bind()
        for engine in engines:
            engine.knobs.break_after_tokens = 1
            engine.knobs.break_by = "cut"
            engine.knobs.token_delay_seconds = 0.05
            engine.reply = lambda _: "one two three"
        await stack.ask(stream=True)
        assert sum(len(engine.generations()) for engine in engines) == 1


@BOTH_WAYS
async def test_an_engine_that_refuses_our_key_is_our_fault(tmp_path: Path, streamed: bool) -> None:
    async with chat_stack(tmp_path, FakeEngine(api_key="another")) as stack:
        reply = await stack.ask(model="base", stream=streamed)
        assert (reply.status, reply.code) == (502, "engine_failed")
        assert "Unauthorized" not in reply.message


async def test_requests_go_where_the_fewest_are_running(tmp_path: Path) -> None:
    one, two = FakeEngine(api_key=ENGINE_KEY), FakeEngine(api_key=ENGINE_KEY)
    async with chat_stack(tmp_path, one, two) as stack:
        await stack.bind()
        async with stack.openai() as client:
            with one.holding(after_tokens=1), two.holding(after_tokens=1):
                messages: Any = [{"role": "user", "content": "how are you?"}]
                streams = [
                    await client.chat.completions.create(
                        model="support", messages=messages, stream=True
                    )
                    for _ in range(6)
                ]
                assert (one.in_flight, two.in_flight) == (3, 3)
            for stream in streams:
                assert [chunk async for chunk in stream]
