"""Making a prompt that fits the engine's context, with room left for the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from services.chassis.errors import InvalidRequest
from services.contracts.assistants import Profile
from services.domain.passages import Source
from services.domain.rendering import Message, PromptTooLongError, compose, fit
from services.gateway.counting import TokenCounter

INLINE_CHARACTERS = 8_192
"""A longer conversation is counted in a thread, so that other requests do not wait for it."""


class ContextLengthExceeded(InvalidRequest):
    """The last message alone is longer than the engine's context."""

    code = "context_length_exceeded"


@dataclass(frozen=True, slots=True)
class FittedPrompt:
    """Messages that fit, and what became of the passages and of the answer's length."""

    messages: list[Message]
    passages: int
    """The first so many passages are in the prompt."""
    answer: int | None
    """How long the answer may be; None for whatever the prompt leaves."""


@dataclass(frozen=True, slots=True)
class Material:
    """What a prompt is made of."""

    profile: Profile
    turns: Sequence[Message]
    sources: Sequence[Source]
    grounded: bool
    """Whether the assistant retrieves, so that the question is labelled."""


@dataclass(frozen=True, slots=True)
class Fitter:
    """Fits prompts into an engine's context."""

    counter: TokenCounter
    answer_reserve: int
    """Tokens that passages and earlier turns leave to an answer that may be so long."""

    async def fit(
        self, material: Material, *, context: int, answer: int | None, tools: Any = None
    ) -> FittedPrompt:
        """Render the largest prompt that fits; `domain.rendering.fit` says what goes first.

        Args:
            context: how many tokens prompt and answer may take together.
            answer: how long the answer may be; None for whatever the prompt leaves.
            tools: the definitions that stand in the prompt as well.

        Raises:
            ContextLengthExceeded: when the last turn alone does not fit.
        """
        space = context - self.counter.count_tools(tools)
        messages = compose(
            material.profile, material.turns, material.sources, grounded=material.grounded
        )
        if self.counter.bound(messages) + (answer or self.answer_reserve) <= space:
            return FittedPrompt(messages, len(material.sources), answer)
        if sum(len(message["content"]) for message in messages) <= INLINE_CHARACTERS:
            return self._fitted(material, space, answer)
        return await asyncio.to_thread(self._fitted, material, space, answer)

    def _fitted(self, material: Material, space: int, answer: int | None) -> FittedPrompt:
        rendered = partial(
            fit,
            material.profile,
            material.turns,
            material.sources,
            grounded=material.grounded,
            count=self.counter.count,
        )
        try:
            prompt = rendered(budget=space - min(answer or space, self.answer_reserve))
        except PromptTooLongError as error:
            # What must stay leaves less than the reserve: the answer gets what is left.
            if error.needed >= space:
                raise ContextLengthExceeded(
                    f"The last message needs about {error.needed} tokens with the assistant's own "
                    f"text, and there is room for {max(space - 1, 0)}; send a shorter one.",
                    param="messages",
                ) from error
            prompt = rendered(budget=error.needed)
        left = space - prompt.tokens
        return FittedPrompt(
            prompt.messages, prompt.passages, None if answer is None else min(answer, left)
        )
