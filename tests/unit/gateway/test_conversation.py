"""The caller's turns: what can be answered, and what is refused with a mend."""

from __future__ import annotations

from typing import Any

import pytest

from services.chassis.errors import InvalidRequest
from services.contracts.assistants import Profile
from services.contracts.chat import ChatMessage
from services.gateway.conversation import Conversation, read_conversation


def read(*turns: dict[str, Any], profile: Profile | None = None) -> Conversation:
    messages = [ChatMessage.model_validate(turn) for turn in turns]
    return read_conversation(messages, profile or Profile())


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def refusal(*turns: dict[str, Any], profile: Profile | None = None) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        read(*turns, profile=profile)
    return caught.value


def test_the_question_is_the_last_user_turn() -> None:
    read_turns = read(user("Hello"), {"role": "assistant", "content": "Hi"}, user("환불은요?"))
    assert read_turns.question == "환불은요?"
    assert not read_turns.after_tool


def test_text_parts_become_one_text() -> None:
    parts = [{"type": "text", "text": "환불"}, {"type": "text", "text": "기간은?"}]
    assert read(user(parts)).turns == [user("환불\n기간은?")]


def test_an_image_is_refused_by_its_place() -> None:
    error = refusal(
        user("Hello"),
        {"role": "assistant", "content": "Hi"},
        user([{"type": "image_url", "image_url": {"url": "data:"}}]),
    )
    assert error.code == "unsupported_content"
    assert error.param == "messages.2.content"
    assert "'image_url'" in error.message
    assert "send its content as text" in error.message


@pytest.mark.parametrize("part", [{"type": "text"}, {"type": "text", "text": 5}, {}])
def test_a_text_part_without_text_is_refused(part: dict[str, Any]) -> None:
    assert refusal(user([part])).code == "unsupported_content"


@pytest.mark.parametrize("role", ["assistant", "system"])
def test_the_last_turn_must_be_something_to_answer(role: str) -> None:
    error = refusal(user("Hello"), {"role": role, "content": "x"})
    assert error.code == "last_message_not_a_question"
    assert error.param == "messages.1.role"
    assert repr(role) in error.message


def test_a_tools_result_can_be_answered() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    conversation = read(
        user("Weather?"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "rain"},
    )
    assert conversation.after_tool
    assert conversation.question == "Weather?"
    assert conversation.turns[1] == {"role": "assistant", "content": "", "tool_calls": [call]}


def test_fields_of_an_earlier_reply_do_not_reach_the_engine() -> None:
    echoed: dict[str, Any] = {
        "role": "assistant",
        "content": "Hi",
        "annotations": [],
        "refusal": None,
        "name": "A",
    }
    turns = read(user("Hello"), echoed, user("And?")).turns
    assert turns[1] == {"role": "assistant", "content": "Hi", "name": "A"}


@pytest.mark.parametrize("content", ["", "  \n", None, []])
def test_a_question_without_text_is_refused(content: Any) -> None:
    assert refusal(user(content)).code == "empty_message"


@pytest.mark.parametrize("role", ["system", "developer"])
def test_a_callers_instruction_is_noted(role: str) -> None:
    turns = ({"role": role, "content": "Be brief."}, user("Hello"))
    assert read(*turns).caller_system
    assert not read(user("Hello")).caller_system
    error = refusal(*turns, profile=Profile(caller_system="refuse"))
    assert (error.status, error.code) == (400, "system_message_refused")
