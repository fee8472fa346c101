"""Taking an answer from where it comes from to the app, whole or as a stream."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from services.contracts.adapters import Replica
from services.gateway.abstaining import abstention_events, abstention_payload
from services.gateway.accounts import Account, Usage
from services.gateway.clients.engine import EngineCall, EngineClient
from services.gateway.metering import Meter
from services.gateway.replies import Reply
from services.gateway.resolution import PLAIN_PROFILE
from services.gateway.spans import chat_span, note_answer
from services.gateway.streaming import DONE, Responder, encode_event

Batches = AsyncIterable[list[dict[str, Any]]]
"""Events of a streamed answer, as they arrive together."""


class AnswerSource(Protocol):
    """Where an answer comes from."""

    async def whole(self, account: Account) -> dict[str, Any]:
        """Return the answer in OpenAI's shape."""
        ...

    def stream(self, account: Account) -> contextlib.AbstractAsyncContextManager[Batches]:
        """Open the answer's events; entering waits for the first."""
        ...


@dataclass(frozen=True, slots=True)
class Engines:
    """An answer that an engine makes."""

    client: EngineClient
    replicas: Sequence[Replica]
    call: EngineCall

    async def whole(self, account: Account) -> dict[str, Any]:
        """Ask for the whole answer."""
        with chat_span(account, self.call) as made:
            replica, payload = await self.client.complete(self.replicas, self.call)
            account.replica = replica.replica
            used = Usage()
            used.read(payload.get("usage") or {})
            note_answer(made, used, replica)
            return payload

    @contextlib.asynccontextmanager
    async def stream(self, account: Account) -> AsyncIterator[Batches]:
        """Ask for the answer's events."""
        with chat_span(account, self.call) as made:
            async with self.client.stream(self.replicas, self.call) as events:
                account.replica = events.replica.replica
                account.finish("first_token")
                yield events
                note_answer(made, account.usage, events.replica)


@dataclass(frozen=True, slots=True)
class Abstaining:
    """The answer when nothing relevant was found."""

    text: str
    choices: int
    structured: bool

    async def whole(self, account: Account) -> dict[str, Any]:
        """Return the sentence."""
        account.outcome = "abstained"
        return abstention_payload(
            self.text,
            request_id=account.request_id,
            choices=self.choices,
            structured=self.structured,
        )

    @contextlib.asynccontextmanager
    async def stream(self, account: Account) -> AsyncIterator[Batches]:
        """Return the sentence as one batch of events."""
        account.outcome = "abstained"
        events = abstention_events(
            self.text,
            request_id=account.request_id,
            choices=self.choices,
            structured=self.structured,
        )
        yield _at_once(events)


@dataclass(frozen=True, slots=True)
class Generation:
    """Passes answers on and concludes their accounts."""

    meter: Meter

    async def whole(
        self, account: Account, reply: Reply, source: AnswerSource, responder: Responder
    ) -> None:
        """Answer with one body."""
        reply.read(await source.whole(account))
        account.finish("generate")
        self.conclude(account, reply)
        await responder.whole(reply.body(account.block()))

    async def stream(
        self, account: Account, reply: Reply, source: AnswerSource, responder: Responder
    ) -> None:
        """Answer with an event stream, which opens only when the first event has come."""
        async with source.stream(account) as batches:
            last = waiting_since = time.perf_counter()
            async for batch in batches:
                account.token_wait += time.perf_counter() - waiting_since
                chunks = [chunk for event in batch if (chunk := reply.chunk(event)) is not None]
                if chunks:
                    await responder.piece(b"".join(map(encode_event, chunks)))
                last = self._clock(account, last, len(chunks))
                waiting_since = time.perf_counter()
            account.choices = max(len(reply.choices), 1)
            account.finish("generate")
            self.conclude(account, reply)
            closing = encode_event(reply.last_chunk(account.block()))
            await responder.piece(closing + DONE, last=True)

    def _clock(self, account: Account, last: float, tokens: int) -> float:
        """Note the time since the batch before; the first batch's time is the first token's."""
        now = time.perf_counter()
        if tokens and account.streamed_tokens:
            self.meter.metrics.inter_token(account, (now - last) / tokens)
        account.streamed_tokens += tokens
        return now if tokens else last

    def conclude(self, account: Account, reply: Reply) -> None:
        """Settle what the answer says and costs, before the reply that tells it is closed."""
        profile = account.target.profile if account.target else PLAIN_PROFILE
        account.cited, account.invalid_citations = len(reply.cited), reply.invalid
        reply.weigh()
        account.support = reply.support.of_answer if reply.support else None
        if account.outcome is None:
            abstained = reply.abstains(profile.abstention)
            account.outcome = "abstained" if abstained else "answered"
        self.meter.price(account)
        account.finish("cite")


async def _at_once(events: list[dict[str, Any]]) -> AsyncIterator[list[dict[str, Any]]]:
    yield events
