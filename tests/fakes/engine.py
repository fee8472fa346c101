"""An ASGI app that behaves as vLLM 0.32 with run-time LoRA does, its dangers included.

    engine = FakeEngine()
    async with running(engine.app) as url:
        ...
    engine.requests[-1].body["cache_salt"]

A system test runs one table of cases against this and against the real engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from services.domain.preflight import PreflightError
from tests.fakes.engine_completions import Completions
from tests.fakes.engine_generation import Call, echo
from tests.fakes.engine_metrics import exposition
from tests.fakes.engine_replies import (
    EngineRefusal,
    dead,
    json_reply,
    malformed,
    model_card,
    text_reply,
)
from tests.fakes.engine_slots import EngineSlots
from tests.fakes.engine_weights import AdapterMissingError, EngineDeadError, EngineWeights

GUARDED_PREFIXES = ("/v1", "/v2", "/inference", "/cohere")
"""What the engine's own key covers; the rest is open."""


@dataclass(slots=True)
class Knobs:
    """What a test can make the engine do; changed at any time."""

    first_token_delay_seconds: float = 0.0
    token_delay_seconds: float = 0.0
    load_delay_seconds: float = 0.0
    overloaded: bool = False
    """Refuse every generation as if the queue were full: a stream gets 200 and an error event."""
    fail_loads_with: int | None = None
    """Answer loads with this status instead of loading."""
    break_after_tokens: int | None = None
    """End a stream after so many tokens."""
    break_by: Literal["event", "cut"] = "event"
    """End it with an error event, or by cutting the connection."""


@dataclass(slots=True)
class Recorded:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    disconnected: bool = False
    """The client went away before the answer was complete."""
    tokens_sent: int = 0


@dataclass(slots=True)
class _Gate:
    after_tokens: int
    opened: asyncio.Event = field(default_factory=asyncio.Event)


class FakeEngine:
    """The fake: its app, what it was asked, and what it is told to do.

    Attributes:
        requests: every request in order of arrival, health checks and scrapes left out.
        reply: makes the text of an answer; replace it to script one.
        knobs: delays and failures.
        weights: the adapters that it holds.
    """

    def __init__(
        self,
        *,
        base_model: str = "base",
        root: str = "/models/base",
        api_key: str = "engine-key",
        max_loras: int = 4,
        max_cpu_loras: int = 8,
        max_lora_rank: int = 32,
        max_model_len: int = 2048,
        max_num_seqs: int = 64,
        max_in_flight: int = 256,
        version: str = "0.32.0",
        parses_tools: bool = True,
    ) -> None:
        self.base_model = base_model
        self.max_model_len = max_model_len
        self.parses_tools = parses_tools
        self.requests: list[Recorded] = []
        self.reply: Callable[[Call], str] = echo
        self.knobs = Knobs()
        self._root = root
        self._api_key = api_key
        self._version = version
        self._limits = {"max_cpu_loras": max_cpu_loras, "max_lora_rank": max_lora_rank}
        self._slot_limits = {
            "max_loras": max_loras,
            "max_num_seqs": max_num_seqs,
            "max_in_flight": max_in_flight,
        }
        self._gate: _Gate | None = None
        self.app: ASGIApp = self._authenticated(self._routes())
        self.restart()

    def restart(self) -> None:
        """Come up as a fresh process does: with the base only."""
        self.weights = EngineWeights(**self._limits)
        self.slots = EngineSlots(**self._slot_limits)
        self.is_dead = False

    def die(self) -> None:
        """Lose the engine core, as after a crash: running answers break off."""
        self.is_dead = True
        if self._gate:
            self._gate.opened.set()

    @contextlib.contextmanager
    def holding(self, *, after_tokens: int = 0) -> Iterator[None]:
        """Keep every answer back after so many tokens, until the block ends."""
        self._gate = _Gate(after_tokens)
        try:
            yield
        finally:
            self._gate.opened.set()
            self._gate = None

    @property
    def in_flight(self) -> int:
        """How many requests generate now."""
        return self.slots.running.total()

    def not_found(self, model: str) -> EngineRefusal:
        """An unknown `model`."""
        message = f"The model `{model}` does not exist. Valid aliases: {self.base_model}."
        return EngineRefusal(404, "NotFoundError", message, param="model")

    def generations(self) -> list[Recorded]:
        """The recorded chat and completion requests."""
        return [r for r in self.requests if r.path.endswith("/completions")]

    def _routes(self) -> Starlette:
        def route(path: str, endpoint: Any, method: str) -> Route:
            return Route(path, endpoint, methods=[method])

        return Starlette(
            routes=[
                route("/health", self._health, "GET"),
                route("/version", self._report_version, "GET"),
                route("/metrics", self._metrics, "GET"),
                route("/v1/models", self._models, "GET"),
                route("/v1/load_lora_adapter", self._load, "POST"),
                route("/v1/unload_lora_adapter", self._unload, "POST"),
                route("/adapters", self._open_load, "POST"),
                Route("/v1/chat/completions", Completions(self)),
                Route("/v1/completions", Completions(self)),
            ],
            exception_handlers={EngineRefusal: _refuse, 404: _detail, 405: _detail},
        )

    def _authenticated(self, app: ASGIApp) -> ASGIApp:
        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and scope["path"].startswith(GUARDED_PREFIXES):
                given = dict(scope["headers"]).get(b"authorization", b"")
                if not hmac.compare_digest(given, f"Bearer {self._api_key}".encode()):
                    await JSONResponse({"error": "Unauthorized"}, 401)(scope, receive, send)
                    return
            await app(scope, receive, send)

        return guarded

    async def _health(self, _: Request) -> Response:
        return Response(status_code=503 if self.is_dead else 200)

    async def _report_version(self, _: Request) -> Response:
        return json_reply({"version": self._version})

    async def _metrics(self, _: Request) -> Response:
        text = exposition(
            self.base_model, self.in_flight, self.slots.waiting, len(self.generations())
        )
        return Response(text, media_type="text/plain")

    async def _models(self, _: Request) -> Response:
        base = model_card(self.base_model, self._root, None, self.max_model_len)
        adapters = (
            model_card(entry.name, entry.path, self.base_model, None)
            for entry in self.weights.loaded.values()
        )
        return json_reply({"object": "list", "data": [base, *adapters]})

    async def _load(self, request: Request) -> Response:
        body = await self.recorded_json(request)
        name, path = _field(body, "lora_name"), _field(body, "lora_path")
        return await self._load_adapter(name, path, in_place=bool(body.get("load_inplace")))

    async def _open_load(self, request: Request) -> Response:
        """The route that the engine leaves open even with a key."""
        body = await self.recorded_json(request)
        await self._load_adapter(body["name"], body["src"], in_place=False)
        return text_reply(f"Adapter {body['name']} registered")

    async def _load_adapter(self, name: str, path: str, *, in_place: bool) -> Response:
        if not name or not path:
            raise _invalid("Both 'lora_name' and 'lora_path' must be provided.")
        if name == self.base_model:
            raise _invalid(f"The lora adapter '{name}' conflicts with a served base model.")
        if name in self.weights.loaded and not in_place:
            raise _invalid(
                f"The lora adapter '{name}' has already been loaded. If you want to load the "
                "adapter in place, set 'load_inplace' to True."
            )
        await asyncio.sleep(self.knobs.load_delay_seconds)
        if self.is_dead:
            raise dead()
        if status := self.knobs.fail_loads_with:
            raise EngineRefusal(status, "InternalServerError", "told to fail")
        try:
            self.weights.load(name, path)
        except AdapterMissingError:
            message = f"Loading lora {name} failed: No adapter found for <path>"
            raise EngineRefusal(404, "NotFoundError", message) from None
        except PreflightError as error:
            message = f"Call to add_lora method failed: Worker failed with error '{error}'"
            raise EngineRefusal(500, "InternalServerError", message) from None
        return text_reply(f"Success: LoRA adapter '{name}' added successfully.")

    async def _unload(self, request: Request) -> Response:
        body = await self.recorded_json(request)
        name = _field(body, "lora_name")
        if not name:
            raise _invalid("'lora_name' needs to be provided to unload a LoRA adapter.")
        if name not in self.weights.loaded:
            message = f"The lora adapter '{name}' cannot be found."
            raise EngineRefusal(404, "NotFoundError", message)
        self.weights.unload(name)
        return text_reply(f"Success: LoRA adapter '{name}' removed successfully.")

    async def recorded_json(self, request: Request) -> dict[str, Any]:
        """Record a request and read its body."""
        if request.headers.get("content-type", "").split(";")[0] != "application/json":
            message = (
                "1 validation error:\n  Unsupported Media Type: Only 'application/json' is allowed"
            )
            raise malformed(message, None)
        raw = await request.body()
        record = Recorded(request.method, request.url.path, dict(request.headers), None)
        self.requests.append(record)
        try:
            record.body = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise malformed(f"JSON decode error: {error.msg}", f"body.{error.pos}") from None
        return dict(record.body)

    async def before_token(self, number: int) -> None:
        """Pass the delays and gates that stand before one token, counted from 0."""
        delay = self.knobs.token_delay_seconds if number else self.knobs.first_token_delay_seconds
        if delay:
            await asyncio.sleep(delay)
        if self._gate and number >= self._gate.after_tokens:
            await self._gate.opened.wait()
        if self.is_dead:
            raise EngineDeadError


def _field(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise malformed("Field required", f"body.{name}")
    return value


def _invalid(message: str) -> EngineRefusal:
    return EngineRefusal(400, "InvalidUserInput", message)


async def _refuse(_: Request, error: Exception) -> Response:
    if not isinstance(error, EngineRefusal):
        raise error
    return json_reply(error.body, error.status)


async def _detail(_: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 500)
    return JSONResponse({"detail": getattr(error, "detail", "")}, status)
