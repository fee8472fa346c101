"""Putting together what answers a request: an engine with its prompt, or nobody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from services.contracts.adapters import Replica
from services.contracts.knowledge import Passage
from services.domain.isolation import cache_salt
from services.domain.passages import Source
from services.gateway.abstaining import abstention_text
from services.gateway.accounts import Account
from services.gateway.clients.engine import EngineCall, EngineClient
from services.gateway.context import FittedPrompt, Fitter, Material
from services.gateway.conversation import Conversation
from services.gateway.generation import Abstaining, AnswerSource, Engines
from services.gateway.parameters import EngineParameters
from services.gateway.replies import Marking, Reply, Steps
from services.gateway.resolution import Target, context_of

LIVE_PRIORITY = 0
"""What an app waits for; work that nobody waits for gets a larger number."""

SHADOW_PRIORITY = 1000
"""Of copies that a candidate answers unseen: behind everything else."""


@dataclass(frozen=True, slots=True)
class Composer:
    """Composes prompts that fit, for the engines that can take them."""

    fitter: Fitter
    engines: EngineClient

    async def source(
        self,
        account: Account,
        target: Target,
        replicas: Sequence[Replica],
        conversation: Conversation,
        parameters: EngineParameters,
        *,
        beside: int | None = None,
    ) -> AnswerSource:
        """Choose who answers: an engine, or nobody when nothing was found.

        A caller who offers tools is not turned away: a tool may know what the documents do not.

        Args:
            replicas: those that are able.
            beside: for an answer that nobody waits for, how many callers' requests may run on its
                replica.

        Raises:
            ServiceError: when there is no replica, or the last turn does not fit.
        """
        found = account.grounding
        if found.state == "empty" and not parameters.tools:
            text = abstention_text(target.profile.abstention, conversation.question)
            return Abstaining(text, parameters.choices, parameters.structured)
        prompt = await self.fitter.fit(
            Material(
                target.profile,
                conversation.turns,
                [_shown(passage) for passage in found.passages],
                grounded=target.policy is not None or found.asked,
            ),
            context=context_of(replicas),
            answer=parameters.answer,
            tools=parameters.tools,
        )
        account.passages = prompt.passages
        account.prompt_estimate = partial(self.fitter.counter.count, prompt.messages)
        body = _engine_body(account, target, prompt, parameters)
        body["priority"] = LIVE_PRIORITY if beside is None else SHADOW_PRIORITY
        call = EngineCall(target.adapter, body, account.request_id, beside)
        return Engines(self.engines, replicas, call)


def open_reply(
    account: Account, target: Target, *, structured: bool, include_reasoning: bool = False
) -> Reply:
    """Open the reply to a request whose prompt is composed.

    Args:
        include_reasoning: whether the app asks for the steps before the answer.
    """
    marking = Marking.NONE
    if target.policy is not None or account.grounding.asked:
        marking = Marking.FIELD if structured else Marking.MARKERS
    passages = account.grounding.passages[: account.passages]
    steps: Steps = "none"
    if target.profile.reasoning == "cot" and not structured:
        steps = "shown" if include_reasoning else "hidden"
    reply = Reply(target.model, passages, marking, account.usage, steps)
    account.answer = reply.texts
    return reply


def _shown(passage: Passage) -> Source:
    """Show a passage with what surrounds it, where that came along."""
    return Source(
        passage.title,
        (passage.surroundings or passage).text,
        passage.headings,
        passage.uri,
        passage.page,
    )


def _engine_body(
    account: Account, target: Target, prompt: FittedPrompt, parameters: EngineParameters
) -> dict[str, Any]:
    body = {
        **parameters.body,
        "messages": prompt.messages,
        "cache_salt": cache_salt(account.caller.tenant, target.adapter),
    }
    if prompt.answer is not None:
        body["max_tokens"] = prompt.answer
    if account.streamed:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True, "continuous_usage_stats": True}
    return body
