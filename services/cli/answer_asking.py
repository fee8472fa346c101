"""Asking an assistant the cases of a data set through the gateway, as an app is served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote

from services.chassis.errors import ServiceError
from services.chassis.http import Peer
from services.cli.answer_judging import Judging
from services.cli.patience import PATIENCE_SECONDS, Reply, patiently
from services.contracts.evaluation_cases import EvaluationCase
from services.contracts.evaluations import AnswerResult
from services.contracts.rollouts import ARM_HEADER
from services.domain.evaluation.answers import Answer, CitedPassage

_ENDS_ALL = ("arm_unknown", "model_not_found")
"""Refusals that every further case would meet as well."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked: a model's name, and the arm of a rollout where one is pinned."""

    name: str
    """As it was written: `support`, `support:candidate`, `voice@0123456789ab`."""

    @property
    def model(self) -> str:
        """What stands in the request."""
        return self.name.rpartition(":")[0] if self.arm else self.name

    @property
    def arm(self) -> str | None:
        """`stable` or `candidate`; None leaves the choice to the gateway."""
        arm = self.name.rpartition(":")[2]
        return arm if arm in ("stable", "candidate") and ":" in self.name else None


Respond = Callable[[EvaluationCase], Awaitable[Reply]]
"""Answers one case with a chat completion in OpenAI's shape."""


@dataclass(slots=True)
class Assistants:
    """The gateway's assistants, asked a few cases at once."""

    peer: Peer
    concurrent: int
    judging: Judging | None = None
    """What judges the answers; rules and the gateway's embeddings alone when unset."""
    patience_seconds: float = PATIENCE_SECONDS
    """How long a case is asked again while the gateway has no room or cannot be reached."""

    def __post_init__(self) -> None:
        self.judging = self.judging or Judging(self.peer)

    async def check(self, asked: Asked) -> None:
        """Make sure that the model is there and the key may use it.

        Raises:
            ServiceError: it is not, or may not.
        """
        await self.peer.json("GET", f"/v1/models/{quote(asked.model, safe='@')}")

    def answers(
        self, asked: Asked, todo: Sequence[tuple[EvaluationCase, int]]
    ) -> AsyncIterator[AnswerResult]:
        """Ask cases, each with the number of its repeat, and give answers as they come.

        Raises:
            CommandError: the gateway has no room for too long.
            ServiceError: every further case would fail in the same way.
        """
        return self.judged(partial(self.reply, asked), todo)

    async def judged(
        self, respond: Respond, todo: Sequence[tuple[EvaluationCase, int]]
    ) -> AsyncIterator[AnswerResult]:
        """Have cases answered, a few at once, and give the judged answers as they come."""
        turns = asyncio.Semaphore(self.concurrent)

        async def in_turn(case: EvaluationCase, repeat: int) -> AnswerResult:
            async with turns:
                return await self._answer(respond, case, repeat)

        tasks = [asyncio.ensure_future(in_turn(*one)) for one in todo]
        try:
            for task in asyncio.as_completed(tasks):
                yield await task
        finally:
            for one in tasks:
                one.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def reply(self, asked: Asked, case: EvaluationCase) -> Reply:
        """Ask one case, again while there is no room."""
        body = {"model": asked.model, "messages": [turn.model_dump() for turn in case.turns]}
        headers = {ARM_HEADER: asked.arm} if asked.arm else {}
        return await patiently(
            self.peer, "/v1/chat/completions", body, headers, seconds=self.patience_seconds
        )

    async def _answer(self, respond: Respond, case: EvaluationCase, repeat: int) -> AnswerResult:
        try:
            reply = await respond(case)
        except ServiceError as error:
            if error.code in _ENDS_ALL:
                raise
            return AnswerResult(
                case=case.id, repeat=repeat, passed=False, error=f"{error.code}: {error.message}"
            )
        return await self._judged(case, repeat, reply.body, reply.seconds)

    async def _judged(
        self, case: EvaluationCase, repeat: int, reply: Mapping[str, Any], seconds: float
    ) -> AnswerResult:
        message, block = reply["choices"][0]["message"], reply.get("inkstone") or {}
        answer = Answer(
            message.get("content") or message.get("refusal") or "",
            block.get("outcome") == "abstained",
            {
                one["n"]: CitedPassage(one["document_id"], one["text"])
                for one in reply.get("citations", ())
            },
        )
        assert self.judging is not None
        judgement = await self.judging.judged(case, answer)
        usage = reply.get("usage") or {}
        details = usage.get("prompt_tokens_details") or {}
        return AnswerResult(
            case=case.id,
            repeat=repeat,
            passed=judgement.passed,
            checks=judgement.checks,
            text=answer.text,
            abstained=answer.abstained,
            release=block.get("release"),
            adapter=block.get("adapter"),
            milliseconds=round(seconds * 1000, 1),
            prompt_tokens=usage.get("prompt_tokens", 0),
            cached_tokens=details.get("cached_tokens") or 0,
            completion_tokens=usage.get("completion_tokens", 0),
            cost_usd=block.get("cost_usd", 0.0),
        )
