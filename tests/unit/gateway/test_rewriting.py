"""What the base is shown when it rewrites a question, and which of its answers are believed."""

from __future__ import annotations

from typing import Any

import pytest

from services.gateway.rewriting import (
    LONGEST_REWRITE,
    SHOWN_CHARACTERS,
    SHOWN_TURNS,
    WORKED_EXAMPLES,
    read_rewrite,
    rewriting_messages,
)


def turn(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "content": content}


def payload(content: str | None, finish_reason: str = "stop") -> dict[str, Any]:
    message = {"role": "assistant", "content": content}
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish_reason}]}


def test_the_base_sees_the_turns_before_the_question_each_on_one_line() -> None:
    turns = [
        turn("system", "Be brief."),
        turn("user", "서울 매장은\n어디예요?"),
        turn("assistant", "누하동입니다."),
        turn("user", "주차는요?"),
    ]
    system, *examples, user = rewriting_messages(turns)
    assert system["role"] == "system"
    assert [turn["role"] for turn in examples] == ["user", "assistant"] * len(WORKED_EXAMPLES)
    assert "Be brief" not in user["content"]
    assert user["content"].splitlines() == [
        "Conversation:",
        "User: 서울 매장은 어디예요?",
        "Assistant: 누하동입니다.",
        "",
        "Last question: 주차는요?",
        "Standalone question:",
    ]


def test_long_conversations_are_cut() -> None:
    turns = [turn("user", f"{n} " + "x" * 1000) for n in range(9)]
    shown = rewriting_messages([*turns, turn("user", "And?")])[-1]["content"].splitlines()[1:-3]
    assert [line[6] for line in shown] == ["5", "6", "7", "8"]
    assert len(shown) == SHOWN_TURNS
    assert max(map(len, shown)) == SHOWN_CHARACTERS + len("User: ")


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("Where can I park at the shop?", "Where can I park at the shop?"),
        ('\n "서울 매장 주차는요?" \nIt has no car park.', "서울 매장 주차는요?"),
        ("Standalone question: Is K2 safe?", "Is K2 safe?"),
        ("How do I clean the pen?에서", "How do I clean the pen?"),
        ("There is no car park.", None),
        ("", None),
        (None, None),
        ("...", None),
        ("User: Where is the shop?", None),
        ("Last question: And?", None),
        ("x" * (LONGEST_REWRITE + 1), None),
    ],
)
def test_an_answer_is_read_as_a_question_or_not_at_all(said: str | None, read: str | None) -> None:
    assert read_rewrite(payload(said), "And?") == read


def test_a_request_without_a_question_mark_needs_none() -> None:
    assert read_rewrite(payload("Tell me about ink."), "Tell me more.") == "Tell me about ink."


def test_a_question_that_was_cut_off_is_not_searched_for() -> None:
    assert read_rewrite(payload("Where can I?", "length"), "And?") is None


@pytest.mark.parametrize("odd", [{}, {"choices": []}, {"choices": [{}]}])
def test_an_answer_without_a_choice_is_none(odd: dict[str, Any]) -> None:
    assert read_rewrite(odd, "And?") is None
