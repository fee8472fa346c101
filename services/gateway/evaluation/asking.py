"""Asking a release one case as an app would be answered, but beside the callers and unseen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol
from uuid import uuid4

from services.chassis.errors import Overloaded, ServiceError, Unavailable
from services.contracts.assistants import Release
from services.contracts.chat import ChatRequest
from services.contracts.evaluation_cases import EvaluationCase
from services.contracts.evaluations import AnswerResult
from services.contracts.keys import Scope
from services.domain.evaluation.answers import Answer, CitedPassage, Judgement, Vector
from services.domain.evaluation.judging import Instruments, judge, texts_to_embed
from services.gateway.accounts import Account
from services.gateway.clients import engine_errors
from services.gateway.clients.traffic import Crowded
from services.gateway.composition import Composer, open_reply
from services.gateway.conversation import read_conversation
from services.gateway.evaluation.judging import JudgeAway, Judging
from services.gateway.generation import Generation
from services.gateway.grounding import Grounder, Grounding
from services.gateway.parameters import engine_parameters
from services.gateway.registry.snapshot import Caller, Snapshot
from services.gateway.resolution import Target, able
from services.gateway.rewriting import Rewriter

Arm = Literal["stable", "candidate", "shadow"]


class Away(Exception):
    """Nobody can answer now, and that is not the candidate's fault; try again later."""


class Embed(Protocol):
    """Embeds texts on a caller's behalf."""

    async def __call__(self, caller: Caller, texts: Sequence[str]) -> Sequence[Vector]:
        """Embed texts, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks cases and judges what comes back."""

    snapshot: Callable[[], Snapshot]
    rewriter: Rewriter
    grounder: Grounder
    composer: Composer
    generation: Generation
    embed: Embed
    judging: Judging
    """What judges beside the rules."""
    callers_beside: int
    """Requests of callers that may run on the replica that answers a case."""
    timeout_seconds: float
    """How long one answer may take."""

    async def both(
        self,
        caller: Caller,
        case: EvaluationCase,
        baseline: Release,
        candidate: Release,
        repeat: int,
        *,
        counted: bool = False,
    ) -> tuple[AnswerResult, AnswerResult]:
        """Ask both releases; where they retrieve alike, both get the same passages.

        Args:
            counted: the answers count in the comparison of the arms of a rollout.

        Raises:
            Away: no engine can answer now, or the retriever cannot.
        """
        arms: tuple[Arm, Arm] = ("stable", "candidate") if counted else ("shadow", "shadow")
        ours, theirs = (
            Target(release.assistant, release.adapter, release, arm, steered=not counted)
            for release, arm in zip((baseline, candidate), arms, strict=True)
        )
        first, grounding = await self._one(caller, case, ours, repeat, None)
        alike = candidate.retrieval == baseline.retrieval
        other, _ = await self._one(caller, case, theirs, repeat, grounding if alike else None)
        return first, other

    async def _one(
        self,
        caller: Caller,
        case: EvaluationCase,
        target: Target,
        repeat: int,
        given: Grounding | None,
    ) -> tuple[AnswerResult, Grounding]:
        account = Account(caller, uuid4().hex, target=target, overridden=target.steered)
        try:
            with engine_errors.deadline(self.timeout_seconds, "answer a case"):
                async with asyncio.timeout(self.timeout_seconds):
                    body = await self._asked(account, target, case, given)
        except Crowded as error:
            raise Away("callers need the engines") from error
        except ServiceError as error:
            if isinstance(error, Unavailable | Overloaded) or engine_errors.connection_broke(error):
                raise Away(error.message) from error
            account.fail(error)
            self._settle(account)
            return _failed(case, repeat, account, error), account.grounding
        self._settle(account)
        answer = _answer(body, abstained=account.outcome == "abstained")
        instruments = await self._instruments(caller, case, answer)
        # A regular expression or a long text may take a while, and callers are answered meanwhile.
        judgement = await asyncio.to_thread(judge, case, answer, instruments)
        return _judged(case, repeat, account, answer, judgement), account.grounding

    async def _asked(
        self, account: Account, target: Target, case: EvaluationCase, given: Grounding | None
    ) -> dict[str, Any]:
        """Answer as the chat endpoint does, but for admission and the stream."""
        turns = [turn.model_dump() for turn in case.turns]
        request = ChatRequest.model_validate({"model": target.model, "messages": turns})
        conversation = read_conversation(request.messages, target.profile)
        account.caller_system = conversation.caller_system
        parameters = engine_parameters(request, target)
        account.finish("admit")
        if given is not None:
            account.grounding = given
        elif (policy := target.policy) is not None:
            rewritten = await self.rewriter.rewritten(account, policy, conversation)
            account.grounding = await self.grounder.ground(
                account.caller, policy, conversation.question, rewritten=rewritten
            )
        account.finish("retrieve")
        source = await self.composer.source(
            account,
            target,
            able(self.snapshot(), target),
            conversation,
            parameters,
            beside=self.callers_beside,
        )
        reply = open_reply(account, target, structured=parameters.structured)
        account.finish("compose")
        reply.read(await source.whole(account))
        account.finish("generate")
        self.generation.conclude(account, reply)
        return reply.body(account.block())

    async def _instruments(
        self, caller: Caller, case: EvaluationCase, answer: Answer
    ) -> Instruments:
        try:
            opinions = await self.judging.opinions(case, answer)
        except JudgeAway as error:
            raise Away(str(error)) from error
        vectors = await self._vectors(caller, texts_to_embed(case, answer))
        return Instruments(vectors, opinions, self.judging.styles)

    async def _vectors(self, caller: Caller, texts: Sequence[str]) -> Mapping[str, Vector]:
        if not texts:
            return {}
        try:
            return dict(zip(texts, await self.embed(caller, texts), strict=True))
        except ServiceError as error:
            raise Away(error.message) from error

    def _settle(self, account: Account) -> None:
        """Charge the answer to whoever began the evaluation."""
        account.close()
        self.generation.meter.price(account)
        self.generation.meter.ledger.record(account.row())


def in_the_name_of(snapshot: Snapshot, tenant: str, key_id: str) -> Caller:
    """Find the caller whose key this is, with the groups that it has now.

    A key that is gone sees what everybody may see.
    """
    for caller in snapshot.callers.values():
        if (caller.key_id, caller.tenant) == (key_id, tenant):
            return caller
    return Caller(key_id, tenant, frozenset({Scope.APP}), (), None)


def _answer(body: Mapping[str, Any], *, abstained: bool) -> Answer:
    message = body["choices"][0]["message"]
    return Answer(
        message.get("content") or message.get("refusal") or "",
        abstained,
        {one["n"]: CitedPassage(one["document_id"], one["text"]) for one in body["citations"]},
    )


def _judged(
    case: EvaluationCase,
    repeat: int,
    account: Account,
    answer: Answer,
    judgement: Judgement,
) -> AnswerResult:
    return AnswerResult(
        **_facts(case, repeat, account),
        passed=judgement.passed,
        checks=judgement.checks,
        text=answer.text,
        abstained=answer.abstained,
    )


def _failed(
    case: EvaluationCase, repeat: int, account: Account, error: ServiceError
) -> AnswerResult:
    facts = _facts(case, repeat, account)
    return AnswerResult(**facts, passed=False, error=f"{error.code}: {error.message}")


def _facts(case: EvaluationCase, repeat: int, account: Account) -> dict[str, Any]:
    release, used = account.target.release if account.target else None, account.usage.all
    return {
        "case": case.id,
        "repeat": repeat,
        "release": release.id if release else None,
        "adapter": release.adapter if release else None,
        "milliseconds": round(account.total * 1000, 1),
        "prompt_tokens": used.prompt,
        "cached_tokens": used.cached,
        "completion_tokens": used.completion,
        "cost_usd": account.cost_usd,
    }
