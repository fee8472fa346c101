"""Server-sent events as an app reads them, and an app that goes away while they come."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import orjson
from starlette.types import Receive, Send

from services.chassis.errors import ServiceError

DONE = b"data: [DONE]\n\n"
"""The last event of a stream that ended well."""


_EVENT_STREAM = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


class ClientGone(Exception):
    """The app closed its connection before the answer was complete."""


def encode_event(payload: Any) -> bytes:
    """Write one event."""
    return b"data: " + orjson.dumps(payload) + b"\n\n"


def encode_error(error: ServiceError) -> bytes:
    """Write the event that says why a stream ends early."""
    return b"event: error\ndata: " + error.body.model_dump_json().encode() + b"\n\n"


@dataclass(slots=True)
class Responder:
    """Writes one response: whole, or piece by piece."""

    send: Send
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Sent with either kind."""
    started: bool = False
    finished: bool = False

    async def whole(self, payload: Any) -> None:
        """Answer with JSON."""
        self.finished = True
        body = orjson.dumps(payload)
        length = (b"content-length", str(len(body)).encode())
        await self._begin([(b"content-type", b"application/json"), length])
        await self.send({"type": "http.response.body", "body": body})
        await _let_it_out()

    async def piece(self, data: bytes, *, last: bool = False) -> None:
        """Write a piece of an event stream; the first one brings the status line."""
        self.finished = last
        if not self.started:
            await self._begin(_EVENT_STREAM)
        await self.send({"type": "http.response.body", "body": data, "more_body": not last})
        if last:
            await _let_it_out()

    async def _begin(self, headers: list[tuple[bytes, bytes]]) -> None:
        self.started = True
        await self.send(
            {"type": "http.response.start", "status": 200, "headers": [*headers, *self.headers]}
        )


@dataclass(slots=True)
class WhileConnected:
    """Runs its body only as long as the client is there; raises `ClientGone` when it leaves.

    The request's body must have been read: the next message can only be the disconnect. A client
    that leaves with the complete response is not missed.
    """

    receive: Receive
    responder: Responder
    _gone: bool = False
    _body: asyncio.Task[Any] | None = field(default=None)
    _watcher: asyncio.Task[None] | None = field(default=None)

    async def __aenter__(self) -> Self:
        self._body = asyncio.current_task()
        self._watcher = asyncio.get_running_loop().create_task(self._watch())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._watcher is not None
        assert self._body is not None
        self._watcher.cancel()
        # As in asyncio.timeout: only our own cancellation is turned into an exception of ours.
        if (
            self._gone
            and self._body.uncancel() == 0
            and (kind is None or kind is asyncio.CancelledError)
        ):
            raise ClientGone from error

    async def _watch(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass
        if self.responder.finished:
            return
        self._gone = True
        assert self._body is not None
        self._body.cancel()


async def _let_it_out() -> None:
    """Let the event loop write what was sent: the books are done while the app reads it."""
    await asyncio.sleep(0)
