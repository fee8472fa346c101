"""The question that is searched for: a follow-up made to stand alone, by rules or by the base."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog

from services.chassis.errors import ServiceError
from services.contracts.assistants import RetrievalPolicy
from services.domain.follow_up import LONGEST_FOLLOW_UP, MAX_CHAIN, standalone
from services.domain.isolation import cache_salt
from services.domain.rendering import Message
from services.gateway.accounts import Account, Usage
from services.gateway.clients.engine import EngineCall, EngineClient
from services.gateway.composition import LIVE_PRIORITY
from services.gateway.conversation import Conversation
from services.gateway.counting import TokenCounter
from services.gateway.registry.snapshot import Snapshot
from services.gateway.resolution import Target, able

INSTRUCTION = (
    "Rewrite the user's last question so that it can be understood without the conversation. "
    "Say what its pronouns stand for and keep its language. Do not answer it. Reply with the "
    "question alone."
)
WORKED_EXAMPLES = (
    (
        "User: How long is the warranty on kettles?\nAssistant: Three years.",
        "And on lids?",
        "How long is the warranty on kettle lids?",
    ),
    (
        "User: 도서관은 어디에 있나요?\nAssistant: 시청 옆에 있습니다.",
        "거기 주차할 수 있나요?",
        "도서관에 주차할 수 있나요?",
    ),
    (
        "User: Who wrote the handbook?\nAssistant: Ada did.",
        "How do I order a desk?",
        "How do I order a desk?",
    ),
)
"""Conversation, last question and the question that stands alone; they show a small base how."""

SHOWN_TURNS = 4
"""How many turns before the question the base is shown."""

SHOWN_CHARACTERS = 300
"""How much of each, from its beginning."""

LONGEST_REWRITE = 400
"""Characters; a longer answer is no question."""

_NEXT_EXAMPLE = "\nConversation:"
_LABEL = "Standalone question:"
_ECHOES = ("User:", "Assistant:", "Conversation:", "Last question:")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rewriter:
    """Makes follow-up questions searchable; a conversation of one turn costs nothing."""

    snapshot: Callable[[], Snapshot]
    engines: EngineClient
    counter: TokenCounter
    timeout_seconds: float
    """How long the base may take before the question is joined by rules."""
    max_tokens: int
    """How long its question may be."""
    max_query_characters: int
    """How long a joined question may be."""

    async def rewritten(
        self, account: Account, policy: RetrievalPolicy, conversation: Conversation
    ) -> str | None:
        """Choose what is searched for; None when that is the question as it was asked.

        Whatever the base's call used is on the account at every moment.
        """
        asked = [] if policy.follow_up == "ignore" else conversation.asked(MAX_CHAIN + 1)
        if len(asked) < 2:
            return None
        question, written = asked[-1].strip(), None
        if policy.follow_up == "rewrite" and len(question) <= LONGEST_FOLLOW_UP:
            written = await self._written(account, conversation)
            account.follow_up = "fell_back" if written is None else "rewritten"
            account.finish("rewrite")
        searched = written or standalone(asked, limit=self.max_query_characters)
        if searched == question:
            return None
        account.follow_up = account.follow_up or "joined"
        return searched

    async def _written(self, account: Account, conversation: Conversation) -> str | None:
        """Have the base write the question; None when it did not, or not in time."""
        assert account.target is not None
        target = replace(account.target, adapter=None)
        messages = rewriting_messages(conversation.turns)
        # Until the engine reports, what it was sent is an estimate, as of a call that is given up.
        account.usage.rewriting = used = Usage(prompt=self.counter.count(messages))
        try:
            async with asyncio.timeout(self.timeout_seconds):
                payload = await self._asked(account, target, messages)
        except TimeoutError:
            _log.warning("rewrite.failed", reason="timeout")
            return None
        except ServiceError as error:
            _log.warning("rewrite.failed", reason=error.code)
            account.usage.rewriting = None
            return None
        used.read(payload.get("usage") or {})
        return read_rewrite(payload, conversation.question)

    async def _asked(
        self, account: Account, target: Target, messages: Sequence[Message]
    ) -> dict[str, Any]:
        body = {
            "messages": messages,
            "temperature": 0.0,
            "max_tokens": self.max_tokens,
            "stop": [_NEXT_EXAMPLE],
            "cache_salt": cache_salt(account.caller.tenant, None),
            "priority": LIVE_PRIORITY,
        }
        call = EngineCall(None, body, account.request_id)
        _, payload = await self.engines.complete(able(self.snapshot(), target), call)
        return payload


def rewriting_messages(turns: Sequence[Message]) -> list[Message]:
    """Show the base the end of a conversation and ask for its last question, standing alone."""
    spoken = [t for t in turns if t["role"] in ("user", "assistant") and t["content"].strip()]
    *before, last = spoken
    shown = "\n".join(
        f"{turn['role'].capitalize()}: {_line(turn)[:SHOWN_CHARACTERS]}"
        for turn in before[-SHOWN_TURNS:]
    )
    messages: list[Message] = [{"role": "system", "content": INSTRUCTION}]
    for conversation, question, written in WORKED_EXAMPLES:
        messages.append({"role": "user", "content": _task(conversation, question)})
        messages.append({"role": "assistant", "content": written})
    return [*messages, {"role": "user", "content": _task(shown, _line(last))}]


def read_rewrite(payload: dict[str, Any], question: str) -> str | None:
    """Take the question out of an engine's answer; None for what can be none.

    An answer that was cut off, is empty, holds no letter, is far too long or repeats its task is
    not searched for; nor is a statement where a question was asked.
    """
    choice: dict[str, Any] = next(iter(payload.get("choices") or ()), {})
    text = (choice.get("message") or {}).get("content") or ""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    written: str = line.removeprefix(_LABEL).strip().strip("\"'“”")
    if choice.get("finish_reason") == "length" or len(written) > LONGEST_REWRITE:
        return None
    if written.startswith(_ECHOES):
        return None
    if question.rstrip().endswith("?"):
        written = written[: written.rfind("?") + 1]
    return written if any(map(str.isalpha, written)) else None


def _task(conversation: str, question: str) -> str:
    return f"Conversation:\n{conversation}\n\nLast question: {question}\n{_LABEL}"


def _line(turn: Message) -> str:
    return " ".join(turn["content"].split())
