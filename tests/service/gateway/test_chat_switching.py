"""Switching an assistant's adapter under load: what began on the old one ends there, none fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.service.gateway.chat_stack import ChatStack, chat_stack, until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[ChatStack]:
    async with chat_stack(tmp_path) as made:
        made.engine.reply = lambda call: f"{call.marker} one two {call.marker}"
        yield made


async def test_what_runs_ends_on_the_old_version_and_the_next_uses_the_new(
    stack: ChatStack,
) -> None:
    old, new = await stack.adapter("old"), await stack.adapter("new")
    await stack.bind(adapter=old)
    async with stack.openai() as client:
        messages: Any = [{"role": "user", "content": "q"}]
        with stack.engine.holding(after_tokens=2):
            running = await client.chat.completions.create(
                model="support", messages=messages, stream=True
            )
            await stack.bind(adapter=new)
            assert stack.engine.in_flight == 1
        chunks = [chunk async for chunk in running]
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        after = await client.chat.completions.create(model="support", messages=messages)
    assert text == "old one two old"
    block = (chunks[-1].model_extra or {})["inkstone"]
    assert (block["release"], block["adapter"]) == ("support/1", old)
    assert after.choices[0].message.content == "new one two new"
    assert (after.model_extra or {})["inkstone"]["release"] == "support/2"


async def test_no_request_fails_or_gets_a_wrong_version_while_versions_change(
    stack: ChatStack,
) -> None:
    versions = {name: await stack.adapter(name) for name in ("red", "blue", "green")}
    await stack.bind(adapter=versions["red"])
    stack.engine.knobs.token_delay_seconds = 0.002
    wrong: list[str] = []
    answered = 0
    stopping = asyncio.Event()

    async def load(streamed: bool) -> None:
        nonlocal answered
        async with stack.openai() as client:
            messages: Any = [{"role": "user", "content": "q"}]
            while not stopping.is_set():
                if streamed:
                    stream = await client.chat.completions.create(
                        model="support", messages=messages, stream=True
                    )
                    chunks = [chunk async for chunk in stream]
                    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
                    extras = chunks[-1].model_extra or {}
                else:
                    whole = await client.chat.completions.create(model="support", messages=messages)
                    text = whole.choices[0].message.content or ""
                    extras = whole.model_extra or {}
                marker = extras["inkstone"]["adapter"].split("@")[0]
                if text != f"{marker} one two {marker}":
                    wrong.append(text)
                answered += 1

    async with asyncio.TaskGroup() as group:
        for number in range(6):
            group.create_task(load(number % 2 == 0))
        for name in ("blue", "green", "red", "blue", "red", "green"):
            await stack.bind(adapter=versions[name])
            before = answered
            await until(lambda seen=before: answered > seen + 6)
        stopping.set()
    assert wrong == []
    rows = await stack.ledger(answered)
    assert {row["status"] for row in rows} == {200}
    assert {row["adapter"] for row in rows} == set(versions.values())


async def test_a_direct_call_of_a_version_stays_on_it(stack: ChatStack) -> None:
    old, new = await stack.adapter("old"), await stack.adapter("new")
    await stack.bind(adapter=old)
    await stack.bind(adapter=new)
    reply = await stack.ask(model=old)
    assert reply.body["choices"][0]["message"]["content"] == "old one two old"
    assert reply.body["inkstone"]["adapter"] == old
