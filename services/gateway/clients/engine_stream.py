"""One answer as an engine streams it."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp

from services.chassis.errors import ServiceError
from services.contracts.adapters import Replica
from services.gateway.clients import engine_errors
from services.gateway.clients.events import EventDecoder, is_done

DRAIN_SECONDS = 1.0
"""How long the end of a finished stream is awaited, to keep its connection."""


@dataclass(slots=True)
class EngineStream:
    """The events of one streamed answer, in the batches in which they arrive."""

    replica: Replica
    _content: aiohttp.StreamReader
    _inter_token: float
    _waiting_since: float | None = None
    """When the read that is under way began; an app that reads slowly is not the engine's fault."""
    _timer: asyncio.TimerHandle | None = None
    _decoder: EventDecoder = field(default_factory=EventDecoder)
    _held: list[dict[str, Any]] = field(default_factory=list)
    _done: bool = False
    _failure: ServiceError | None = None
    """What ended the answer, kept until the events before it were handed out."""

    async def begin(self) -> None:
        """Read up to the first event that says more than who is speaking.

        Raises:
            ServiceError: when an error comes instead.
        """
        while not self._done and not any(map(_is_real, self._held)):
            self._held += await self._read()
        self._watch(self._inter_token)

    def close(self) -> None:
        """Stop watching."""
        if self._timer:
            self._timer.cancel()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[dict[str, Any]]:
        while not self._held and not self._done:
            self._held = await self._read()
        if not self._held:
            raise StopAsyncIteration
        batch, self._held = self._held, []
        return batch

    async def drain(self) -> None:
        """Read the end of a finished stream, so that its connection can be used again."""
        if not self._done:
            return
        with contextlib.suppress(TimeoutError, aiohttp.ClientError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while await self._content.readany():
                    pass

    async def _read(self) -> list[dict[str, Any]]:
        """Read what has arrived; nothing may follow the end mark."""
        if self._failure:
            raise self._failure
        self._waiting_since = asyncio.get_running_loop().time()
        try:
            data = await self._content.readany()
        except aiohttp.ClientError as error:
            raise engine_errors.broke_off() from error
        finally:
            self._waiting_since = None
        if not data:
            raise engine_errors.broke_off()
        events: list[dict[str, Any]] = []
        try:
            for payload in self._decoder.feed(data):
                if is_done(payload):
                    self._done = True
                    break
                events.append(engine_errors.decode(payload))
        except ServiceError as error:
            self._failure = error
        return events

    def _watch(self, seconds: float) -> None:
        """Look at the clock once in a while: a timer for each token would cost more than it."""
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        waited = 0.0
        if self._waiting_since is not None:
            waited = asyncio.get_running_loop().time() - self._waiting_since
        if waited < self._inter_token:
            self._watch(self._inter_token - waited)
        else:
            late = engine_errors.timed_out(self._inter_token, "send the next token")
            self._content.set_exception(late)


def _is_real(event: dict[str, Any]) -> bool:
    """Tell an event with a piece of the answer from one that only opens it."""
    for choice in event.get("choices") or ():
        delta = choice.get("delta") or {}
        if choice.get("finish_reason") or any(v for k, v in delta.items() if k != "role"):
            return True
    return False
