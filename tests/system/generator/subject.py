"""An engine under test, real or fake, as the cases of the comparison see it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

DEADLINE_SECONDS = 60
"""How long a case waits for what must come; only a failing case waits so long."""

_SENTENCE = "Passages: the kettle holds 1.7 litres. 주전자는 1.7리터입니다. Question: how much? "
PROMPT = _SENTENCE * 6 + "." * 78
"""Fills five blocks of the real engine's prefix cache and little more: the tiny model's tokens are
bytes, 630 of them here, and its chat template adds eighteen."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply as it came."""

    status: int
    content_type: str | None
    text: str

    @property
    def body(self) -> Any:
        """The reply's JSON."""
        return json.loads(self.text)

    @property
    def error(self) -> Any:
        """The reply's error object."""
        return self.body["error"]


@dataclass(slots=True)
class Subject:
    """One engine."""

    url: str
    api_key: str
    session: aiohttp.ClientSession
    make_adapter: Callable[[Path, str, int], Path]
    """Writes an adapter with a marker, in a lane, to a folder."""
    is_real: bool
    max_model_len: int = 1024
    base: str = "base"
    _loaded: list[str] = field(default_factory=list)

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: str | None = None,
        key: str | None = "",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Send one request; the engine's own key unless another, or None, is given."""
        sent = dict(headers or {})
        if key is not None:
            sent["Authorization"] = f"Bearer {key or self.api_key}"
        data = raw if raw is not None else (json.dumps(body) if body is not None else None)
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        async with self.session.request(method, self.url + path, data=data, headers=sent) as reply:
            return Answer(reply.status, reply.headers.get("Content-Type"), await reply.text())

    async def load(self, name: str, folder: Path) -> Answer:
        """Load an adapter; it is unloaded when the case ends."""
        answer = await self.call(
            "POST", "/v1/load_lora_adapter", {"lora_name": name, "lora_path": str(folder)}
        )
        if answer.status == 200:
            self._loaded.append(name)
        return answer

    async def unload(self, name: str) -> Answer:
        """Unload an adapter."""
        return await self.call("POST", "/v1/unload_lora_adapter", {"lora_name": name})

    async def chat(self, model: str | None = None, **fields: Any) -> Answer:
        """Ask one question."""
        return await self.call("POST", "/v1/chat/completions", self.question(model, **fields))

    async def text(self, model: str | None = None, **fields: Any) -> str:
        """Ask one question and return the answer's text."""
        answer = await self.chat(model, **fields)
        assert answer.status == 200, answer.text
        content: str = answer.body["choices"][0]["message"]["content"]
        return content

    def question(self, model: str | None = None, **fields: Any) -> dict[str, Any]:
        """Build a chat request."""
        return {
            "model": model or self.base,
            "messages": [{"role": "user", "content": "hello 안녕"}],
            "max_tokens": 4,
            "temperature": 0,
            **fields,
        }

    @contextlib.asynccontextmanager
    async def stream(self, model: str | None = None, **fields: Any) -> AsyncIterator[Stream]:
        """Open a streamed answer."""
        body = self.question(model, **fields) | {"stream": True}
        headers = {"Authorization": f"Bearer {self.api_key}"}
        async with self.session.post(
            self.url + "/v1/chat/completions", json=body, headers=headers
        ) as reply:
            yield Stream(reply)

    async def running_requests(self) -> float:
        """Read how many requests the engine works on."""
        return await self._gauge("vllm:num_requests_running")

    async def waiting_requests(self) -> float:
        """Read how many requests wait in the engine."""
        return await self._gauge("vllm:num_requests_waiting")

    async def _gauge(self, name: str) -> float:
        lines = (await self.call("GET", "/metrics")).text.splitlines()
        values = [float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name + "{")]
        return sum(values)

    async def clean_up(self) -> None:
        """Unload what the case loaded."""
        for name in self._loaded:
            await self.unload(name)
        self._loaded.clear()


class Stream:
    """A streamed answer, event by event."""

    def __init__(self, reply: aiohttp.ClientResponse) -> None:
        self.status = reply.status
        self._reply = reply

    async def events(self) -> AsyncIterator[Any]:
        """Read the events; the last one is the text `[DONE]`."""
        async for line in self._reply.content:
            if line.startswith(b"data: "):
                data = line.removeprefix(b"data: ").strip()
                yield data.decode() if data == b"[DONE]" else json.loads(data)

    async def all_events(self) -> list[Any]:
        """Read every event."""
        return [event async for event in self.events()]

    async def first_token(self) -> str:
        """Read until the first piece of text."""
        async for event in self.events():
            for choice in event["choices"]:
                if text := choice["delta"].get("content"):
                    return str(text)
        raise AssertionError("the stream ended without text")

    def leave(self) -> None:
        """Go away as a client does that closes its connection."""
        self._reply.close()


def text_of(events: list[Any]) -> str:
    """Join the text of a stream's events."""
    return "".join(
        choice["delta"].get("content") or ""
        for event in events
        if isinstance(event, dict)
        for choice in event.get("choices", [])
    )


async def until(condition: Callable[[], Any], what: str) -> None:
    """Wait until an awaited condition holds."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not await condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {DEADLINE_SECONDS} s")
        await asyncio.sleep(0.02)
