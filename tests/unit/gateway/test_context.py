"""Fitting prompts: passages go first, then old turns, and the answer keeps its room."""

from __future__ import annotations

from typing import Any

import pytest

from services.contracts.assistants import Profile
from services.domain.passages import Source
from services.domain.rendering import Message
from services.gateway.chat_template import Overhead
from services.gateway.context import ContextLengthExceeded, FittedPrompt, Fitter, Material
from services.gateway.counting import TokenCounter

pytestmark = pytest.mark.anyio

PASSAGES = [Source(f"T{n}", "word " * 20) for n in range(4)]


def user(text: str) -> Message:
    return {"role": "user", "content": text}


async def fit(
    *turns: Message,
    sources: list[Source] | None = None,
    context: int = 1000,
    answer: int | None = 50,
    reserve: int = 50,
    tools: Any = None,
) -> FittedPrompt:
    counter = TokenCounter(lambda text: len(text.split()), Overhead(frame=2, turn=1))
    material = Material(
        Profile(system="be kind"), list(turns), PASSAGES if sources is None else sources, True
    )
    fitter = Fitter(counter, reserve)
    return await fitter.fit(material, context=context, answer=answer, tools=tools)


async def test_a_prompt_that_surely_fits_is_not_counted() -> None:
    def fail(text: str) -> int:
        raise AssertionError(text)

    fitter = Fitter(TokenCounter(fail), 10)
    material = Material(Profile(), [user("hello")], [], False)
    fitted = await fitter.fit(material, context=200, answer=20)
    assert fitted == FittedPrompt([user("hello")], 0, 20)


async def test_everything_that_fits_stays() -> None:
    fitted = await fit(user("how long?"))
    assert (fitted.passages, fitted.answer) == (4, 50)


async def test_the_lowest_passages_go_first() -> None:
    fitted = await fit(user("how long?"), context=120)
    assert 0 < fitted.passages < 4
    assert "[1] T0" in fitted.messages[-1]["content"]
    assert "T3" not in fitted.messages[-1]["content"]
    assert fitted.answer == 50


async def test_an_answer_longer_than_the_reserve_shrinks_before_passages_go() -> None:
    fitted = await fit(user("how long?"), context=200, answer=190)
    assert fitted.passages == 4
    assert fitted.answer is not None
    assert 50 <= fitted.answer < 190


async def test_old_turns_go_before_the_last_one() -> None:
    old = [user("old " * 60), {"role": "assistant", "content": "yes " * 60}]
    fitted = await fit(*old, user("how long?"), context=100, sources=[])
    assert [turn["role"] for turn in fitted.messages] == ["system", "user"]


async def test_a_last_turn_that_eats_the_reserve_shortens_the_answer() -> None:
    fitted = await fit(user("w " * 80), context=100, sources=[])
    assert fitted.answer is not None
    assert 1 <= fitted.answer <= 20


async def test_a_last_turn_that_does_not_fit_is_the_callers_error() -> None:
    with pytest.raises(ContextLengthExceeded) as caught:
        await fit(user("w " * 120), context=100)
    error = caught.value
    assert (error.status, error.code, error.param) == (400, "context_length_exceeded", "messages")
    assert "about 126 tokens" in error.message
    assert "room for 99" in error.message


async def test_tools_take_room_too() -> None:
    tools = [{"name": "x"}]
    assert (await fit(user("how long?"), context=460, tools=tools)).passages == 4
    assert (await fit(user("how long?"), context=380, tools=tools)).passages < 4
    with pytest.raises(ContextLengthExceeded):
        await fit(user("how long?"), context=200, tools=tools)


async def test_an_open_answer_stays_open() -> None:
    assert (await fit(user("how long?"), answer=None)).answer is None
    fitted = await fit(user("how long?"), answer=None, context=120)
    assert fitted.answer is None
    assert 0 < fitted.passages < 4


async def test_a_long_conversation_is_counted_all_the_same() -> None:
    with pytest.raises(ContextLengthExceeded):
        await fit(user("w " * 40_000))
