"""Asking an assistant the cases of a data set through the gateway, as an app is served."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import quote

from services.chassis.errors import Overloaded, ServiceError, Unavailable
from services.chassis.http import Peer
from services.cli.failures import CommandError
from services.contracts.evaluation_cases import EvaluationCase
from services.contracts.evaluations import AnswerResult
from services.contracts.rollouts import ARM_HEADER
from services.domain.evaluation.answers import Answer, CitedPassage, Vector
from services.domain.evaluation.judging import judge, texts_to_embed

PATIENCE_SECONDS = 300.0
"""How long a case is asked again while the gateway has no room or cannot be reached."""

LONGEST_PAUSE_SECONDS = 10.0

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


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back to one case."""

    body: Mapping[str, Any]
    """A chat completion in OpenAI's shape."""
    seconds: float
    """Of the call that was answered; calls that were turned away before are not in it."""


Respond = Callable[[EvaluationCase], Awaitable[Reply]]
"""Answers one case."""


@dataclass(slots=True)
class Assistants:
    """The gateway's assistants, asked a few cases at once."""

    peer: Peer
    concurrent: int
    patience_seconds: float = PATIENCE_SECONDS
    _embedding_model: str | None = None
    _vectors: dict[str, Vector] = field(default_factory=dict)

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
        texts = texts_to_embed(case, answer)
        vectors = await self._embedded(texts) if texts else {}
        judgement = judge(case, answer, vectors)
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

    async def _embedded(self, texts: Sequence[str]) -> Mapping[str, Vector]:
        if missing := [text for text in texts if text not in self._vectors]:
            body = {"model": await self._model(), "input": missing}
            reply = await patiently(
                self.peer, "/v1/embeddings", body, {}, seconds=self.patience_seconds
            )
            found = sorted(reply.body["data"], key=lambda one: int(one["index"]))
            self._vectors |= {
                text: one["embedding"] for text, one in zip(missing, found, strict=True)
            }
        return self._vectors

    async def _model(self) -> str:
        if self._embedding_model is None:
            models = (await self.peer.json("GET", "/v1/models"))["data"]
            named = [one["id"] for one in models if one.get("kind") == "embedding"]
            if not named:
                raise CommandError(
                    "A check compares by meaning, and the gateway lists no embedding model now; "
                    "start the retriever and run the command again."
                )
            self._embedding_model = named[0]
        return self._embedding_model


async def patiently(
    peer: Peer, path: str, body: Any, headers: Mapping[str, str], *, seconds: float
) -> Reply:
    """Call until there is room; asking again changes nothing.

    Raises:
        CommandError: there was none for so many seconds.
    """
    deadline, pause = time.monotonic() + seconds, 0.25
    while True:
        began = time.perf_counter()
        try:
            found = await peer.json("POST", path, body=body, headers=headers)
            return Reply(found, time.perf_counter() - began)
        except (Unavailable, Overloaded) as error:
            if time.monotonic() > deadline:
                raise CommandError(
                    f"The {peer.name} had no room for {seconds:.0f} s "
                    f"({error.message}); run the command again, it goes on where it stood."
                ) from error
            wait = error.retry_after_seconds or pause
        # All that were turned away together must not come back together.
        spread = 0.5 + random.random()  # noqa: S311 - not a secret
        await asyncio.sleep(min(wait, LONGEST_PAUSE_SECONDS) * spread)
        pause *= 2
