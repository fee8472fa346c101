"""The engines: which replica gets a request, and what comes back from it.

A request goes to the able replica with the fewest requests in flight. Until the first real event
of an answer nothing has reached the app, so a refused connection or a full queue may be tried again
on another replica; afterwards never.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp
import orjson
import structlog

from services.chassis.errors import ServiceError, UpstreamFailed
from services.chassis.http import Deadlines, Peer
from services.chassis.request_id import HEADER
from services.contracts.adapters import Replica
from services.gateway.clients import engine_errors
from services.gateway.clients.engine_stream import EngineStream
from services.gateway.clients.traffic import Traffic

_log = structlog.get_logger(__name__)
_Reply = TypeVar("_Reply")

PATH = "/v1/chat/completions"
COOL_DOWN_SECONDS = 1.0
"""How long a replica that could not be reached is tried last."""


@dataclass(frozen=True, slots=True)
class EngineDeadlines:
    """How long an engine may take, in seconds."""

    connect: float = 2.0
    first_token: float = 60.0
    inter_token: float = 30.0
    total: float = 600.0


@dataclass(frozen=True, slots=True)
class EngineCall:
    """One request to an engine; the model's name is added for the replica that gets it."""

    adapter: str | None
    """An adapter version, or none for the base."""
    body: dict[str, Any]
    request_id: str
    beside: int | None = None
    """For work that nobody waits for: how many callers' requests may run on its replica."""


@dataclass(slots=True)
class EngineClient:
    """Speaks to every engine over a borrowed session."""

    session: aiohttp.ClientSession
    api_key: str | None
    deadlines: EngineDeadlines = field(default_factory=EngineDeadlines)
    attempts: int = 2
    """How often one request may be tried."""
    traffic: Traffic = field(default_factory=Traffic)
    _avoided_until: dict[str, float] = field(default_factory=dict)

    async def complete(
        self, replicas: Sequence[Replica], call: EngineCall
    ) -> tuple[Replica, dict[str, Any]]:
        """Ask for a whole answer.

        Raises:
            ServiceError: `Unavailable` without a replica, the caller's own 4xx, or an `Upstream*`.
            Crowded: the call is one beside callers, and they need its replica.
        """

        async def attempt(replica: Replica) -> tuple[Replica, dict[str, Any]]:
            async with self._counted(replica, call), self._sent(replica, call) as reply:
                return replica, engine_errors.decode(await reply.read())

        async with self._bounded():
            return await self._tried(replicas, attempt)

    @contextlib.asynccontextmanager
    async def stream(
        self, replicas: Sequence[Replica], call: EngineCall
    ) -> AsyncIterator[EngineStream]:
        """Ask for a streamed answer; entering waits for the first real event.

        Leaving early closes the connection, which makes the engine stop at once.

        Raises:
            ServiceError: as `complete`, on entering and between events.
        """

        async def attempt(replica: Replica) -> tuple[EngineStream, contextlib.AsyncExitStack]:
            async with contextlib.AsyncExitStack() as opening:
                await opening.enter_async_context(self._counted(replica, call))
                with engine_errors.deadline(self.deadlines.first_token, "send its first token"):
                    async with asyncio.timeout(self.deadlines.first_token):
                        reply = await opening.enter_async_context(self._sent(replica, call))
                        stream = EngineStream(replica, reply.content, self.deadlines.inter_token)
                        opening.callback(stream.close)
                        await stream.begin()
                return stream, opening.pop_all()

        async with self._bounded():
            stream, opened = await self._tried(replicas, attempt)
            async with opened:
                yield stream
                await stream.drain()

    @contextlib.asynccontextmanager
    async def _bounded(self) -> AsyncIterator[None]:
        """Bound a whole answer, an app that reads it too slowly included."""
        with engine_errors.deadline(self.deadlines.total, "finish its answer"):
            async with asyncio.timeout(self.deadlines.total):
                yield

    async def _tried(
        self, replicas: Sequence[Replica], attempt: Callable[[Replica], Awaitable[_Reply]]
    ) -> _Reply:
        """Try replicas in turn until one answers or the error is not one to try again."""
        tried: list[str] = []
        while True:
            replica = self._pick(replicas, tried)
            try:
                return await attempt(replica)
            except ServiceError as error:
                tried.append(replica.replica)
                broke = engine_errors.connection_broke(error)
                # An engine that fails at once has the fewest requests in flight: left to the count
                # alone, it would get them all.
                if broke or isinstance(error, UpstreamFailed):
                    self._avoid(replica)
                # A connection kept from an earlier request may have died unseen: only then is
                # the same replica worth a second try.
                elsewhere = len(tried) < len(replicas)
                again = broke or (elsewhere and engine_errors.another_may_answer(error))
                if not again or len(tried) >= self.attempts:
                    told = engine_errors.for_the_app(error)
                    if told is error:
                        raise
                    raise told from error
                _log.warning("engine.retry", replica=replica.replica, reason=error.message)

    def _pick(self, replicas: Sequence[Replica], tried: Sequence[str]) -> Replica:
        if not replicas:
            raise engine_errors.no_replica(
                "No engine is ready to answer with this model; try again shortly."
            )
        now = time.monotonic()

        def burden(replica: Replica) -> tuple[bool, bool, int, float]:
            name = replica.replica
            avoided = self._avoided_until.get(name, 0) > now
            # Of equals any may be first: gateways that cannot see each other must not agree on one.
            return name in tried, avoided, self.traffic.all(name), random.random()  # noqa: S311

        return min(replicas, key=burden)

    def _avoid(self, replica: Replica) -> None:
        now = time.monotonic()
        still = {name: until for name, until in self._avoided_until.items() if until > now}
        self._avoided_until = {**still, replica.replica: now + COOL_DOWN_SECONDS}

    def _counted(
        self, replica: Replica, call: EngineCall
    ) -> contextlib.AbstractAsyncContextManager[None]:
        if call.beside is not None:
            return self.traffic.beside(replica.replica, callers=call.beside)
        return self.traffic.counted(replica.replica)

    def _sent(
        self, replica: Replica, call: EngineCall
    ) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]:
        # The first token, the next one and the whole are timed here; the socket needs no timer.
        deadlines = Deadlines(self.deadlines.connect, read=None, total=None)
        peer = Peer("engine", replica.endpoint, self.session, self.api_key, deadlines)
        body = orjson.dumps({"model": call.adapter or replica.base_model, **call.body})
        return peer.stream("POST", PATH, data=body, headers={HEADER: call.request_id})
