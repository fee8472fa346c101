"""The oracle of the live swap: it must see what it is there to see."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.cli.connection import Connection
from services.cli.swap import LiveSwap, SwapReport
from tests.service.gateway.chat_stack import ChatStack, chat_stack

pytestmark = pytest.mark.anyio


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[ChatStack]:
    async with chat_stack(tmp_path) as made:
        yield made


async def _swap(stack: ChatStack) -> SwapReport:
    markers = {await stack.adapter(name): name for name in ("red", "blue")}
    connection = Connection(stack.gateway.base_url, stack.gateway.secrets["admin"])
    async with connection.gateway() as gateway, stack.openai() as client:
        live = LiveSwap(gateway, client, "oracle", markers)
        return await live.run(swaps=3, workers=2, pause_seconds=0.1)


async def test_a_faithful_engine_gives_no_wrong_answer(stack: ChatStack) -> None:
    stack.engine.reply = lambda call: call.marker or "base"
    report = await _swap(stack)
    assert report.sent > 10
    assert (report.failed, report.wrong, report.errors) == (0, 0, [])
    assert len(report.swaps) == 3


async def test_an_engine_that_answers_with_other_weights_is_found_out(stack: ChatStack) -> None:
    stack.engine.reply = lambda _: "red"
    report = await _swap(stack)
    assert report.wrong > 0
    assert "answered 'red'" in report.errors[0]


async def test_a_failed_request_is_counted(stack: ChatStack) -> None:
    stack.engine.reply = lambda call: call.marker or "base"
    stack.engine.knobs.overloaded = True
    report = await _swap(stack)
    assert report.failed == report.sent > 0
