"""One chat request, step by step.

    admit -> resolve the model -> retrieve once -> compose and fit -> generate, checking citations
    -> settle usage -> record in the ledger

The caller was identified before. Each step is a module of its own; this one is their order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.types import Receive, Send

from services.chassis.errors import ServiceError, Unavailable
from services.chassis.request_id import current_request_id
from services.contracts.chat import ChatRequest
from services.domain.isolation import cache_salt
from services.domain.rendering import Source
from services.gateway.abstaining import abstention_text
from services.gateway.accounts import Account
from services.gateway.admission import Admission, NoPlace
from services.gateway.clients.engine import EngineCall, EngineClient
from services.gateway.context import FittedPrompt, Fitter, Material
from services.gateway.conversation import Conversation, read_conversation
from services.gateway.generation import Abstaining, AnswerSource, Engines, Generation
from services.gateway.grounding import Grounder, narrowed
from services.gateway.incoming import parse_chat_request, read_body
from services.gateway.parameters import EngineParameters, engine_parameters
from services.gateway.registry.snapshot import Caller, Snapshot
from services.gateway.replies import Marking, Reply
from services.gateway.resolution import Target, able, context_of, resolve
from services.gateway.streaming import ClientGone, Responder, WhileConnected, encode_error

LIVE_PRIORITY = 0
"""What an app waits for; work that nobody waits for gets a larger number."""


@dataclass(frozen=True, slots=True)
class Answering:
    """Answers chat requests."""

    snapshot: Callable[[], Snapshot]
    admission: Admission
    grounder: Grounder
    fitter: Fitter
    engines: EngineClient
    generation: Generation
    max_messages: int

    async def answer(self, caller: Caller, receive: Receive, send: Send) -> None:
        """Answer one request, and settle its account whatever becomes of it."""
        account, responder = Account(caller, current_request_id()), Responder(send)
        try:
            body = await read_body(receive)
            with self.admission.admit(caller.key_id):
                async with WhileConnected(receive, responder):
                    request = parse_chat_request(body, max_messages=self.max_messages)
                    await self._answer(account, request, responder)
        except ClientGone:
            account.leave()
        except ServiceError as error:
            await self._fail(account, error, responder)
        except asyncio.CancelledError:
            if not responder.finished:
                account.fail(Unavailable("The gateway is stopping; try again.", code="stopping"))
            raise
        except Exception:
            account.fail(ServiceError("The server failed; the log has the cause."))
            raise
        finally:
            self.generation.meter.settle(account)

    async def write_ledger(self) -> None:
        """Write the rows of requests that are over."""
        await self.generation.meter.ledger.flush()

    def turned_away(self, error: ServiceError) -> None:
        """Count a caller who could not be identified or may not be here."""
        self.generation.meter.metrics.rejected(error.code)

    async def _fail(self, account: Account, error: ServiceError, responder: Responder) -> None:
        """Say what went wrong: by a status while there is none yet, by an event afterwards."""
        if responder.finished:
            # The answer is complete and delivered; only the end of its connection failed.
            return
        account.fail(error)
        if isinstance(error, NoPlace):
            self.turned_away(error)
        if not responder.started:
            raise error
        await responder.piece(encode_error(error), last=True)

    async def _answer(self, account: Account, request: ChatRequest, responder: Responder) -> None:
        """Do the work; what it uses is on the account at every moment."""
        target = resolve(self.snapshot(), account.caller, request.model)
        account.begin(target, request)
        conversation = read_conversation(request.messages, target.profile)
        parameters = engine_parameters(request, target)
        policy = narrowed(target, request.retrieval)
        account.caller_system = conversation.caller_system
        account.finish("admit")

        # What follows a tool's result continues an answer whose question was grounded before.
        if policy is not None and not conversation.after_tool:
            account.grounding = await self.grounder.ground(
                account.caller, policy, conversation.question
            )
            account.finish("retrieve")

        source = await self._source(account, target, conversation, parameters)
        account.finish("compose")

        reply = self._reply(account, target, structured=parameters.structured)
        if target.release is not None:
            responder.headers.append((b"x-inkstone-release", target.release.id.encode()))
        generate = self.generation.stream if request.stream else self.generation.whole
        await generate(account, reply, source, responder)

    async def _source(
        self,
        account: Account,
        target: Target,
        conversation: Conversation,
        parameters: EngineParameters,
    ) -> AnswerSource:
        """Choose who answers: an engine with a prompt that fits, or nobody when nothing was found.

        A caller who offers tools is not turned away: a tool may know what the documents do not.
        """
        found = account.grounding
        if found.state == "empty" and not parameters.tools:
            text = abstention_text(target.profile.abstention, conversation.question)
            return Abstaining(text, parameters.choices, parameters.structured)
        replicas = able(self.snapshot(), target)
        prompt = await self.fitter.fit(
            Material(
                target.profile,
                conversation.turns,
                [Source(passage.title, passage.text) for passage in found.passages],
                grounded=target.policy is not None or found.asked,
            ),
            context=context_of(replicas),
            answer=parameters.answer,
            tools=parameters.tools,
        )
        account.passages = prompt.passages
        account.prompt_estimate = partial(self.fitter.counter.count, prompt.messages)
        body = self._engine_body(account, target, prompt, parameters)
        call = EngineCall(target.adapter, body, account.request_id)
        return Engines(self.engines, replicas, call)

    @staticmethod
    def _engine_body(
        account: Account, target: Target, prompt: FittedPrompt, parameters: EngineParameters
    ) -> dict[str, Any]:
        body = {
            **parameters.body,
            "messages": prompt.messages,
            "cache_salt": cache_salt(account.caller.tenant, target.adapter),
            "priority": LIVE_PRIORITY,
        }
        if prompt.answer is not None:
            body["max_tokens"] = prompt.answer
        if account.streamed:
            body["stream"] = True
            body["stream_options"] = {"include_usage": True, "continuous_usage_stats": True}
        return body

    @staticmethod
    def _reply(account: Account, target: Target, *, structured: bool) -> Reply:
        marking = Marking.NONE
        if target.policy is not None or account.grounding.asked:
            marking = Marking.FIELD if structured else Marking.MARKERS
        passages = account.grounding.passages[: account.passages]
        return Reply(target.model, passages, marking, account.usage)
