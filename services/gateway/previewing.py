"""The prompt that an assistant would be asked with, for whoever wants to see it or train on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import uuid4

from services.contracts.chat import ChatMessage, ChatRequest
from services.contracts.prompts import ComposedPrompt, PromptPassage
from services.gateway.abstaining import abstention_text
from services.gateway.accounts import Account
from services.gateway.composition import Composer
from services.gateway.conversation import Conversation, read_conversation
from services.gateway.grounding import Grounder
from services.gateway.parameters import engine_parameters
from services.gateway.registry.assistants import AssistantNotFound, unknown
from services.gateway.registry.snapshot import Caller, Snapshot
from services.gateway.resolution import Target, able
from services.gateway.rewriting import Rewriter


@dataclass(frozen=True, slots=True)
class Previewing:
    """Composes prompts as the chat endpoint does, and asks no engine for an answer."""

    snapshot: Callable[[], Snapshot]
    rewriter: Rewriter
    grounder: Grounder
    composer: Composer

    async def prompt(
        self, caller: Caller, assistant: str, messages: Sequence[ChatMessage]
    ) -> ComposedPrompt:
        """Compose the prompt of an assistant's stable release, with what the caller may read.

        Raises:
            ServiceError: as the chat endpoint does for the same messages.
        """
        known = self.snapshot().assistants.get((caller.tenant, assistant))
        if known is None:
            raise AssistantNotFound(unknown(assistant))
        target = Target(assistant, known.stable.adapter, known.stable, steered=True)
        conversation = read_conversation(messages, target.profile)
        account = Account(caller, uuid4().hex, target=target, overridden=True)
        await self._ground(account, target, conversation)
        found = account.grounding
        if found.state == "empty":
            text = abstention_text(target.profile.abstention, conversation.question)
            return _composed(target, [], [], text)
        request = ChatRequest(model=assistant, messages=list(messages))
        fitted = await self.composer.fitted(
            account,
            target,
            able(self.snapshot(), target),
            conversation,
            engine_parameters(request, target),
        )
        passages = [
            PromptPassage(
                n=number,
                collection=it.collection,
                document_id=it.document_id,
                title=it.title,
                text=(it.surroundings or it).text,
            )
            for number, it in enumerate(found.passages[: fitted.passages], start=1)
        ]
        return _composed(target, fitted.messages, passages, None)

    async def _ground(self, account: Account, target: Target, conversation: Conversation) -> None:
        if target.policy is None or conversation.after_tool:
            return
        rewritten = await self.rewriter.rewritten(account, target.policy, conversation)
        account.grounding = await self.grounder.ground(
            account.caller, target.policy, conversation.question, rewritten=rewritten
        )


def _composed(
    target: Target,
    messages: Sequence[dict[str, object]],
    passages: Sequence[PromptPassage],
    abstention: str | None,
) -> ComposedPrompt:
    assert target.release is not None
    return ComposedPrompt(
        assistant=target.release.assistant,
        release=target.release.id,
        messages=list(messages),
        grounded=target.policy is not None,
        passages=list(passages),
        abstention=abstention,
    )
