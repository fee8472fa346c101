"""One chat request, step by step.

    admit -> resolve the model -> make a follow-up stand alone -> retrieve once -> compose and fit
    -> generate, checking citations -> settle usage -> record in the ledger
    -> keep the texts where the tenant wants it, offer a copy to a candidate that answers unseen

The caller was identified before. Each step is a module of its own; this one is their order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from starlette.types import Receive, Send

from services.chassis.errors import ServiceError, Unavailable
from services.chassis.request_id import current_request_id
from services.contracts.chat import ChatRequest
from services.gateway.accounts import Account
from services.gateway.admission import Admission, NoPlace
from services.gateway.composition import Composer, open_reply
from services.gateway.content import ContentStore
from services.gateway.conversation import read_conversation, subject_of
from services.gateway.generation import Generation
from services.gateway.grounding import Grounder, narrowed
from services.gateway.incoming import parse_chat_request, read_body
from services.gateway.parameters import engine_parameters
from services.gateway.registry.adapter_usage import AdapterUsage
from services.gateway.registry.snapshot import Caller, Snapshot
from services.gateway.resolution import Wish, able, resolve
from services.gateway.rewriting import Rewriter
from services.gateway.rollouts.shadowing import Shadowing
from services.gateway.spans import note_request
from services.gateway.streaming import ClientGone, Responder, WhileConnected, encode_error


@dataclass(frozen=True, slots=True)
class Answering:
    """Answers chat requests."""

    snapshot: Callable[[], Snapshot]
    admission: Admission
    rewriter: Rewriter
    grounder: Grounder
    composer: Composer
    generation: Generation
    shadowing: Shadowing
    content: ContentStore
    usage: AdapterUsage
    max_messages: int

    async def answer(
        self, caller: Caller, receive: Receive, send: Send, *, arm: str | None = None
    ) -> None:
        """Answer one request, and settle its account whatever becomes of it.

        Args:
            arm: the arm of a rollout that a tester asks for.
        """
        account, responder = Account(caller, current_request_id()), Responder(send)
        try:
            body = await read_body(receive)
            with self.admission.admit(caller.key_id):
                async with WhileConnected(receive, responder):
                    request = parse_chat_request(body, max_messages=self.max_messages)
                    await self._answer(account, request, arm, responder)
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
            note_request(account)
            self.content.keep(account)
            self.shadowing.offer(account)

    def in_flight(self, replica: str) -> int:
        """Count the requests that this process has running on a replica."""
        return self.composer.engines.traffic.all(replica)

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

    async def _answer(
        self, account: Account, request: ChatRequest, arm: str | None, responder: Responder
    ) -> None:
        """Do the work; what it uses is on the account at every moment."""
        wish = Wish(partial(subject_of, account.caller, request), arm)
        target = resolve(self.snapshot(), account.caller, request.model, wish)
        account.begin(target, request)
        conversation = read_conversation(request.messages, target.profile)
        parameters = engine_parameters(request, target)
        policy = narrowed(target, request.retrieval)
        account.caller_system, account.question = (
            conversation.caller_system,
            conversation.question,
        )
        account.finish("admit")

        # What follows a tool's result continues an answer whose question was grounded before.
        if policy is not None and not conversation.after_tool:
            rewritten = await self.rewriter.rewritten(account, policy, conversation)
            account.grounding = await self.grounder.ground(
                account.caller, policy, conversation.question, rewritten=rewritten
            )
            account.finish("retrieve")

        replicas = able(self.snapshot(), target)
        if target.release is None and target.adapter is not None:
            self.usage.note(account.caller.tenant, target.adapter, held=bool(replicas))
        source = await self.composer.source(account, target, replicas, conversation, parameters)
        reply = open_reply(
            account,
            target,
            structured=parameters.structured,
            include_reasoning=request.include_reasoning,
        )
        account.finish("compose")

        if target.release is not None:
            responder.headers.append((b"x-inkstone-release", target.release.id.encode()))
        generate = self.generation.stream if request.stream else self.generation.whole
        await generate(account, reply, source, responder)
