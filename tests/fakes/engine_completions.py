"""Both completion routes of the fake engine, as one raw ASGI endpoint."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from tests.fakes.engine_bodies import Bodies
from tests.fakes.engine_generation import Call, Generated, generate, render, token_limit
from tests.fakes.engine_replies import (
    DONE,
    EngineRefusal,
    dead,
    event,
    internal_error,
    json_reply,
    overloaded,
)
from tests.fakes.engine_validation import validate_shape, validate_values
from tests.fakes.engine_weights import EngineDeadError

if TYPE_CHECKING:
    from tests.fakes.engine import FakeEngine, Recorded


TOKENISING_SECONDS = 0.001
"""Between the engine's first check of its queue, which sets the status, and its second."""


class _BreakOffError(Exception):
    """The answer is to end here."""


class Completions:
    """Answers a completion, and notices when its client goes away."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if request.method != "POST":
            await JSONResponse({"detail": "Method Not Allowed"}, 405)(scope, receive, send)
            return
        body = await self._engine.recorded_json(request)
        record = self._engine.requests[-1]
        work = asyncio.ensure_future(self._answer(request, body, record, send))
        departure = asyncio.ensure_future(_departure(receive))
        try:
            await asyncio.wait({work, departure}, return_when=asyncio.FIRST_COMPLETED)
            record.disconnected = not work.done()
        finally:
            departure.cancel()
            if not work.done():
                work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work

    async def _answer(
        self, request: Request, body: dict[str, Any], record: Recorded, send: Send
    ) -> None:
        call, adapter = self._validated(request, body)
        if self._engine.slots.are_full:
            raise overloaded()
        # While a prompt is cut into tokens, others pass the check above.
        await asyncio.sleep(TOKENISING_SECONDS)
        if not body.get("stream"):
            reply = json_reply(await self._whole(call, adapter))
            await reply(request.scope, request.receive, send)
            return
        await _start(send)
        try:
            async with self._admitted(call, adapter) as bodies:
                async for number, chunk in self._chunks(bodies):
                    await _send(send, event(chunk))
                    record.tokens_sent = max(record.tokens_sent, number)
        except _BreakOffError:
            # An answer that is never completed makes the server close the connection.
            if self._engine.knobs.break_by == "cut":
                return
            await _send(send, event(internal_error().body))
        except EngineRefusal as error:
            await _send(send, event(error.body))
        await _send(send, DONE)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _whole(self, call: Call, adapter: str | None) -> dict[str, Any]:
        async with self._admitted(call, adapter) as bodies:
            choices = self._choices(bodies.call)
            for number in range(max(len(choice.tokens) for choice in choices) or 1):
                await self._engine.before_token(number)
            return bodies.whole(choices)

    def _validated(self, request: Request, body: dict[str, Any]) -> tuple[Call, str | None]:
        """Refuse what the engine refuses before it begins to answer."""
        engine = self._engine
        validate_shape(body, request.url.path, parses_tools=engine.parses_tools)
        model = body.setdefault("model", engine.base_model)
        adapter = None if model == engine.base_model else str(model)
        if adapter is not None and adapter not in engine.weights.loaded:
            raise engine.not_found(model)
        if engine.is_dead:
            raise dead()
        validate_values(body, engine.base_model, engine.max_model_len)
        request_id = request.headers.get("x-request-id") or uuid4().hex
        call = Call(body, request_id, render(body), "")
        token_limit(call, engine.max_model_len)
        return call, adapter

    @contextlib.asynccontextmanager
    async def _admitted(self, call: Call, adapter: str | None) -> AsyncIterator[Bodies]:
        """Hold a place among the running requests; the engine's death ends it."""
        engine = self._engine
        if engine.knobs.overloaded or engine.slots.are_full:
            raise overloaded()
        try:
            async with engine.slots.held(adapter, call.body.get("priority", 0)):
                self._meet_prompt_logprobs(call)
                yield self._resolved(call, adapter)
        except EngineDeadError as error:
            raise dead() from error

    def _meet_prompt_logprobs(self, call: Call) -> None:
        """Log-probabilities of a prompt, asked for beside another request, end the engine."""
        if call.body.get("prompt_logprobs") is not None and self._engine.in_flight > 1:
            self._engine.die()

    def _resolved(self, call: Call, adapter: str | None) -> Bodies:
        """Find out which weights answer; using evicted ones may end the engine."""
        engine = self._engine
        if engine.is_dead:
            raise EngineDeadError
        if adapter is None:
            return Bodies(call, 0.0)
        salt = call.body.get("cache_salt") or ""
        try:
            marker = engine.weights.marker_for(adapter, salt=salt, prompt=call.prompt)
        except EngineDeadError:
            engine.die()
            raise
        resolved = Call(call.body, call.request_id, call.prompt, marker)
        return Bodies(resolved, engine.weights.effect_of(adapter))

    def _choices(self, call: Call) -> list[Generated]:
        engine = self._engine
        choice = generate(call, engine.reply(call), max_model_len=engine.max_model_len)
        return [choice] * (call.body.get("n") or 1)

    async def _chunks(self, bodies: Bodies) -> AsyncIterator[tuple[int, dict[str, Any]]]:
        engine, choices = self._engine, self._choices(bodies.call)
        await engine.before_token(0)
        for index in range(len(choices)):
            yield 0, bodies.first(index)
        for number in range(max(len(choice.tokens) for choice in choices) or 1):
            if number:
                await engine.before_token(number)
            if number == engine.knobs.break_after_tokens:
                raise _BreakOffError
            for index, choice in enumerate(choices):
                yield number + 1, bodies.delta(index, choice, number)
        yield 0, bodies.last(choices)


async def _departure(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _start(send: Send) -> None:
    headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def _send(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})
