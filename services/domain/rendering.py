"""From a profile, the caller's turns and the passages to the messages that the engine sees.

Training, evaluation and serving all render through this module, so an adapter is served as it was
trained. Stable parts come first (system text, examples, earlier turns) so that the engine's prefix
cache hits; the passages stand with the last question.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from services.contracts.assistants import ContextTemplate, Profile
from services.domain.passages import Source, grounded_turn

Message = dict[str, Any]
"""One turn in OpenAI's shape, ready to be serialised."""

_SYSTEM = ("system", "developer")
COT_INSTRUCTION = "Think step by step, then write the final answer after 'Final answer:'."


class PromptTooLongError(ValueError):
    """The last turn alone does not fit the context."""

    def __init__(self, needed: int, available: int) -> None:
        super().__init__(f"the last message needs {needed} tokens and {available} are available")
        self.needed = needed
        self.available = available


@dataclass(frozen=True, slots=True)
class Prompt:
    """Rendered messages, and how much of what was offered is in them."""

    messages: list[Message]
    passages: int
    """The first so many sources are in the prompt, numbered from 1."""
    tokens: int
    """The prompt's length as `count` measured it; 0 when nothing was counted."""


def compose(
    profile: Profile, turns: Sequence[Message], sources: Sequence[Source], *, grounded: bool
) -> list[Message]:
    """Render the whole prompt.

    Args:
        turns: the caller's messages, oldest first; system and developer turns are joined to the
            profile's system text.
        sources: the passages, best first; the model is to cite them by their place, from 1.
        grounded: whether the assistant retrieves; only then is the last user turn wrapped in the
            passages and the question label.
    """
    caller_system = [_text(turn) for turn in turns if turn["role"] in _SYSTEM]
    dialogue = [turn for turn in turns if turn["role"] not in _SYSTEM]
    system = "\n\n".join(part for part in (profile.system, *caller_system) if part)
    if profile.reasoning == "cot":
        system = f"{system}\n\n{COT_INSTRUCTION}" if system else COT_INSTRUCTION
    messages: list[Message] = [{"role": "system", "content": system}] if system else []
    for example in profile.few_shot:
        messages.append({"role": "user", "content": example.user})
        messages.append({"role": "assistant", "content": example.assistant})
    messages.extend(dialogue)
    if grounded and messages and messages[-1]["role"] == "user":
        turn = grounded_turn(_text(messages[-1]), sources, profile.context)
        messages[-1] = {**messages[-1], "content": turn}
    return messages


def fit(
    profile: Profile,
    turns: Sequence[Message],
    sources: Sequence[Source],
    *,
    grounded: bool,
    count: Callable[[list[Message]], int],
    budget: int,
) -> Prompt:
    """Render the largest prompt within `budget` tokens.

    The lowest passages go first, then the oldest turns in pairs, then the best passage, without
    which there is nothing to answer from; system text, examples and the last turn always stay.

    Raises:
        PromptTooLongError: when what must stay does not fit.
    """
    kept_turns, kept_sources = list(turns), list(sources)
    while True:
        messages = compose(profile, kept_turns, kept_sources, grounded=grounded)
        tokens = count(messages)
        if tokens <= budget:
            return Prompt(messages, len(kept_sources), tokens)
        oldest = _oldest_exchange(kept_turns)
        if len(kept_sources) > 1 or (kept_sources and oldest is None):
            kept_sources.pop()
        elif oldest is not None:
            kept_turns[oldest] = [turn for turn in kept_turns[oldest] if turn["role"] in _SYSTEM]
        else:
            raise PromptTooLongError(tokens, budget)


def prompt_hash(profile: Profile) -> str:
    """Name the part of a profile that an adapter is trained with: 12 hex of sha256.

    The default context template is left out: profiles from before there was one keep their name.
    """
    stable: list[Any] = [
        profile.system,
        profile.reasoning,
        [[e.user, e.assistant] for e in profile.few_shot],
    ]
    if profile.context != ContextTemplate():
        stable.append(profile.context.model_dump(mode="json"))
    return hashlib.sha256(json.dumps(stable, ensure_ascii=False).encode()).hexdigest()[:12]


def profile_hash(profile: Profile) -> str:
    """Name a whole profile by its content: 12 hex of the sha256 of its canonical JSON.

    The default context template is left out, as in `prompt_hash`.
    """
    unsaid = {"context"} if profile.context == ContextTemplate() else None
    content = profile.model_dump(mode="json", exclude=unsaid)
    canonical = json.dumps(content, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def _oldest_exchange(turns: list[Message]) -> slice | None:
    """Find the oldest removable turns: a user turn with everything up to the next user turn."""
    users = [i for i, turn in enumerate(turns) if turn["role"] == "user"]
    if len(users) < 2:
        return None
    return slice(users[0], users[1])


def _text(turn: Message) -> str:
    """Read a turn's text, joining OpenAI's content parts."""
    content = turn.get("content")
    if isinstance(content, str):
        return content
    texts = (part.get("text") for part in content or [] if part.get("type") == "text")
    return "\n".join(text for text in texts if isinstance(text, str))


last_user_text = _text
"""Read one turn's text; the question is the last user turn's."""
