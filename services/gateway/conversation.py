"""The caller's turns, checked and brought into one shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from services.chassis.errors import InvalidRequest
from services.contracts.assistants import Profile
from services.contracts.chat import ChatMessage, ChatRequest
from services.domain.rendering import Message
from services.domain.rollouts import split
from services.gateway.parameters import check_sendable
from services.gateway.registry.snapshot import Caller

_KEPT_FIELDS = ("name", "tool_calls", "tool_call_id")
"""What an engine needs of a turn beside role and text; everything else stays here."""


class SystemMessageRefused(InvalidRequest):
    """The release does not accept instructions from the caller."""

    code = "system_message_refused"


class UnsupportedContent(InvalidRequest):
    """A content part that is not text."""

    code = "unsupported_content"


class LastMessageNotAQuestion(InvalidRequest):
    """There is nothing to answer."""

    code = "last_message_not_a_question"


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns that can be answered."""

    turns: list[Message]
    question: str
    """The text of the last user turn."""
    caller_system: bool
    """Whether the caller sent a system or developer message."""
    after_tool: bool
    """Whether the last turn is a tool's result."""

    def asked(self, most: int) -> list[str]:
        """List the last user turns that hold text, oldest first."""
        spoken = (t["content"] for t in reversed(self.turns) if t["role"] == "user")
        return list(islice((text for text in spoken if text.strip()), most))[::-1]


def read_conversation(messages: Sequence[ChatMessage], profile: Profile) -> Conversation:
    """Check the caller's messages and bring them into one shape.

    Raises:
        InvalidRequest: naming the message that cannot be used, and the mend.
    """
    turns = [_turn(message, place) for place, message in enumerate(messages)]
    systems = [place for place, turn in enumerate(turns) if _instructs(turn)]
    if systems and profile.caller_system == "refuse":
        raise SystemMessageRefused(
            "This assistant takes no system or developer message; send user messages only.",
            param=f"messages.{systems[0]}.role",
        )
    question = next((t["content"] for t in reversed(turns) if t["role"] == "user"), "")
    _check_last(turns, question)
    return Conversation(turns, question, bool(systems), turns[-1]["role"] == "tool")


def subject_of(caller: Caller, request: ChatRequest) -> str:
    """Name what stays on one arm of a rollout through all its turns."""
    first = next((m.content for m in request.messages if m.role == "user"), None)
    return split.subject_of(
        conversation=request.conversation_id,
        end_user=end_user_of(request),
        key=caller.key_id,
        first_words=first if isinstance(first, str) else repr(first),
    )


def end_user_of(request: ChatRequest) -> str | None:
    """Read whom the app asks for, as it names that person."""
    end_user = request.user or (request.model_extra or {}).get("safety_identifier")
    return end_user if isinstance(end_user, str) else None


def _instructs(turn: Message) -> bool:
    return turn["role"] in ("system", "developer")


def _turn(message: ChatMessage, place: int) -> Message:
    turn: Message = {"role": message.role, "content": _text(message.content, place)}
    extras = message.model_extra or {}
    if kept := {name: extras[name] for name in _KEPT_FIELDS if extras.get(name) is not None}:
        check_sendable(kept, f"messages.{place}")
        turn |= kept
    return turn


def _text(content: str | list[dict[str, Any]] | None, place: int) -> str:
    """Join text parts; a part that is no text cannot be read by a text model."""
    if isinstance(content, str):
        return content
    texts = []
    for part in content or ():
        kind = part.get("type")
        text = part.get("text")
        if kind != "text" or not isinstance(text, str):
            raise UnsupportedContent(
                f"messages.{place} holds a part of type {kind!r} and only text can be read; "
                "send its content as text.",
                param=f"messages.{place}.content",
            )
        texts.append(text)
    return "\n".join(texts)


def _check_last(turns: Sequence[Message], question: str) -> None:
    last = len(turns) - 1
    if turns[last]["role"] not in ("user", "tool"):
        raise LastMessageNotAQuestion(
            f"The last message has the role {turns[last]['role']!r}; end with a user message or a "
            "tool's result.",
            param=f"messages.{last}.role",
        )
    if not question.strip():
        raise InvalidRequest(
            "No user message holds any text; write the question as text.",
            code="empty_message",
            param="messages",
        )
