"""Asking the teacher: each prompt as production serves it, each answer on the disk at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import IO, Any, Protocol
from urllib.parse import quote

from services.chassis.completions import (
    Completion,
    Endpoint,
    EndpointAway,
    EndpointRefused,
    EndpointUnusable,
)
from services.chassis.errors import ServiceError
from services.chassis.http import Peer
from services.cli.failures import CommandError
from services.cli.journal import Journal
from services.cli.patience import patiently
from services.contracts.assistants import Profile
from services.contracts.distillation import (
    AskedPrompt,
    DistilLine,
    DistilPrompt,
    TeacherAnswer,
    Teaching,
)
from services.contracts.prompts import ComposedPrompt
from services.domain.distillation.budget import Budget
from services.domain.rendering import Message, compose

REFUSALS_IN_A_ROW = 5
"""So many refused requests without one answer are no matter of the prompts."""

CUT_OFF_IN_A_ROW = 20
"""So many answers in a row that were too long are no matter of the prompts."""

TEMPLATE_TOKENS = 64
"""What a chat template may add to a prompt, as far as a budget sets it aside."""


class Compose(Protocol):
    """Makes the prompt that production would make."""

    async def __call__(self, prompt: DistilPrompt) -> AskedPrompt:
        """Compose it."""
        ...


@dataclass(frozen=True, slots=True)
class FromAssistant:
    """Prompts of an assistant, composed by the gateway itself."""

    peer: Peer
    assistant: str
    release: str
    """What every prompt must be of."""

    async def __call__(self, prompt: DistilPrompt) -> AskedPrompt:
        """Have the gateway retrieve, fit and render."""
        path = f"/admin/assistants/{quote(self.assistant)}/prompt"
        body = {"messages": [turn.model_dump() for turn in prompt.turns]}
        made = ComposedPrompt.received((await patiently(self.peer, path, body)).body)
        if made.release != self.release:
            raise CommandError(
                f"{self.assistant} serves {made.release} now and not {self.release}; begin anew "
                "with --fresh, or wait until it serves that again."
            )
        return AskedPrompt(
            messages=made.messages,
            grounded=made.grounded,
            passages=made.passages,
            abstention=made.abstention,
        )


@dataclass(frozen=True, slots=True)
class FromProfile:
    """Prompts of a profile that retrieves nothing."""

    profile: Profile

    async def __call__(self, prompt: DistilPrompt) -> AskedPrompt:
        """Render them here."""
        turns: list[Message] = [turn.model_dump() for turn in prompt.turns]
        return AskedPrompt(
            messages=compose(self.profile, turns, [], grounded=False), grounded=False
        )


@dataclass(slots=True)
class Known:
    """What the file of answers holds of one prompt."""

    prompt: AskedPrompt | None = None
    answers: dict[int, TeacherAnswer] = field(default_factory=dict)
    """By sample."""


def known_of(lines: list[DistilLine]) -> dict[str, Known]:
    """Gather the lines of each prompt."""
    found: dict[str, Known] = {}
    for line in lines:
        known = found.setdefault(line.key, Known())
        known.prompt = line.prompt or known.prompt
        if line.answer is not None:
            known.answers[line.answer.sample] = line.answer
    return found


@dataclass(slots=True)
class Asking:
    """Asks what is not known yet."""

    teacher: Endpoint
    teaching: Teaching
    compose: Compose
    budget: Budget
    journal: Journal[Teaching, DistilLine]
    samples: int
    concurrent: int
    seed: int | None
    answered: Callable[[], None]
    """Called after each prompt."""
    failures: dict[str, str] = field(default_factory=dict)
    """Why a prompt has no answer, by its key."""
    over_budget: bool = False
    _refused: int = 0
    _cut_off: int = 0
    _stopped: Exception | None = None

    async def ask(self, prompts: Mapping[str, DistilPrompt], known: dict[str, Known]) -> None:
        """Ask every prompt; what one answer cost is kept whatever becomes of the others.

        Raises:
            CommandError: nothing more can be asked.
            ServiceError: the same, as the teacher or the gateway says it.
        """
        todo = iter(prompts.items())
        with self.journal.open() as file:

            async def work() -> None:
                for key, prompt in todo:
                    if self._stopped is not None or self.over_budget:
                        return
                    await self._one(file, key, prompt, known.setdefault(key, Known()))
                    self.answered()

            await asyncio.gather(*(work() for _ in range(self.concurrent)))
        if self._stopped is not None:
            raise self._stopped

    async def _one(self, file: IO[str], key: str, prompt: DistilPrompt, known: Known) -> None:
        try:
            if known.prompt is None:
                known.prompt = await self.compose(prompt)
                self.journal.add(file, DistilLine(key=key, prompt=known.prompt))
            if known.prompt.abstention is not None:
                return
            for sample in range(self.samples):
                if sample not in known.answers and not await self._sample(file, key, known, sample):
                    return
        except (CommandError, EndpointAway, EndpointUnusable) as error:
            self._stopped = error
        except EndpointRefused as error:
            self._note_refusal(key, error)
        except ServiceError as error:
            if error.status >= 500 or error.status in (401, 403, 404):
                self._stopped = error
            else:
                self.failures[key] = error.message

    async def _sample(self, file: IO[str], key: str, known: Known, sample: int) -> bool:
        """Ask for one answer; False when the budget has no room for it."""
        assert known.prompt is not None
        body = self._body(known.prompt.messages, sample)
        # No tokenizer of the teacher's is at hand; a token is seldom shorter than a character.
        said = sum(len(str(message["content"])) for message in body["messages"])
        prompt = max(said + TEMPLATE_TOKENS, self.budget.longest_prompt)
        longest = body.get("max_completion_tokens") or body.get("max_tokens") or 0
        if not self.budget.hold(prompt, longest):
            self.over_budget = True
            return False
        try:
            given = await self.teacher.complete(body)
        finally:
            self.budget.release(prompt, longest)
        known.answers[sample] = answer = _answer(given, sample, prompt)
        self.budget.spend(
            prompt=answer.prompt_tokens,
            cached=answer.cached_tokens,
            completion=answer.completion_tokens,
        )
        self.journal.add(file, DistilLine(key=key, answer=answer))
        self._refused = 0
        self._note_length(answer)
        return True

    def _body(self, messages: list[Message], sample: int) -> dict[str, Any]:
        told = _instructed(messages, self.teaching.instructions)
        body = {"model": self.teaching.model, "messages": told, **self.teaching.parameters}
        if self.seed is not None:
            body["seed"] = self.seed + sample
        return {name: value for name, value in body.items() if value is not None}

    def _note_length(self, answer: TeacherAnswer) -> None:
        self._cut_off = self._cut_off + 1 if answer.finish_reason == "length" else 0
        if self._cut_off >= CUT_OFF_IN_A_ROW and self._stopped is None:
            self._stopped = CommandError(
                f"The last {self._cut_off} answers were all cut off, and none of those is kept; "
                "give them more room with --max-tokens, or an end with "
                """--extra '{"stop": ["\\n\\n"]}'."""
            )

    def _note_refusal(self, key: str, error: EndpointRefused) -> None:
        self.failures[key] = error.message
        self._refused += 1
        if self._refused >= REFUSALS_IN_A_ROW and self._stopped is None:
            self._stopped = CommandError(
                f"{error.message} So were the {self._refused - 1} before it; change the request "
                "with --extra, where null leaves a field out."
            )


def _answer(given: Completion, sample: int, estimate: int) -> TeacherAnswer:
    """Write an answer down; a teacher that does not count its tokens is taken at its characters.

    Args:
        estimate: the prompt's tokens, as they were set aside.
    """
    counted = given.prompt_tokens + given.completion_tokens > 0
    return TeacherAnswer(
        sample=sample,
        text=given.text,
        refusal=given.refusal,
        finish_reason=given.finish_reason,
        model=given.model,
        prompt_tokens=given.prompt_tokens if counted else estimate,
        cached_tokens=given.cached_tokens,
        completion_tokens=given.completion_tokens if counted else len(given.text),
        at=round(time.time(), 3),
    )


def _instructed(messages: list[Message], instructions: str) -> list[Message]:
    """Tell the teacher more than the student will be told."""
    if not instructions:
        return messages
    if messages and messages[0]["role"] == "system":
        first = {**messages[0], "content": f"{messages[0]['content']}\n\n{instructions}"}
        return [first, *messages[1:]]
    return [{"role": "system", "content": instructions}, *messages]
