"""Callers without pause at several gateways, and what they saw."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import aiohttp
import orjson

_NUMBERS = count()
QUESTIONS = ("What do you sell?",)


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where callers ask, and with which key."""

    url: str
    key: str


@dataclass(frozen=True, slots=True)
class Seen:
    """One answer; times are the monotonic clock's."""

    gateway: int
    asked: float
    answered: float
    status: int
    adapter: str | None
    release: str | None
    text: str
    broken: bool = False
    """Whether a stream ended early, after its first piece."""


@dataclass(slots=True)
class Load:
    """What all callers saw."""

    answers: list[Seen] = field(default_factory=list)

    def failed(self) -> list[Seen]:
        """Answers that were refused though nothing had reached the caller yet."""
        return [seen for seen in self.answers if seen.status != 200]

    def broken(self) -> list[Seen]:
        """Streams that ended early: no gateway can take back what was sent."""
        return [seen for seen in self.answers if seen.status == 200 and seen.broken]

    def wrong(self, markers: Mapping[str, str]) -> list[Seen]:
        """Answers that other weights gave than those that the gateway names."""
        whole = (seen for seen in self.answers if seen.status == 200 and not seen.broken)
        named = ((seen, markers.get(seen.adapter or "")) for seen in whole)
        return [seen for seen, marker in named if set(seen.text.split()) != {marker}]

    def statuses(self) -> str:
        """Count the statuses."""
        counted = Counter(seen.status for seen in self.answers)
        return ", ".join(f"{n} x {status}" for status, n in sorted(counted.items()))


@contextlib.asynccontextmanager
async def loaded(
    gateways: Sequence[Gateway],
    assistant: str,
    *,
    callers: int,
    streams: bool = False,
    questions: Sequence[str] = QUESTIONS,
) -> AsyncIterator[Load]:
    """Ask without pause beside the block; every caller stays at one gateway.

    Args:
        questions: asked in turn, each in a chat of its own.
    """
    load, over = Load(), asyncio.Event()

    async def call(caller: int, session: aiohttp.ClientSession) -> None:
        place = caller % len(gateways)
        while not over.is_set():
            stream = streams and caller % 3 == 0
            number = next(_NUMBERS)
            body = {
                "model": assistant,
                "messages": [{"role": "user", "content": questions[number % len(questions)]}],
                "conversation_id": f"chat {number}",
                "stream": stream,
            }
            load.answers.append(await asked(session, gateways[place], body, place=place))
            if load.answers[-1].status == 0:
                await asyncio.sleep(0.05)

    connector = aiohttp.TCPConnector(limit=callers)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
        for caller in range(callers):
            group.create_task(call(caller, session))
        try:
            yield load
        finally:
            over.set()


async def asked(
    session: aiohttp.ClientSession, gateway: Gateway, body: Mapping[str, Any], *, place: int = 0
) -> Seen:
    """Send one chat request and see what comes; status 0 stands for no answer at all."""
    stream, began = bool(body.get("stream")), time.monotonic()
    status, text, block, broken = 0, "", dict[str, str](), False
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        async with session.post(
            f"{gateway.url}/v1/chat/completions",
            json=body,
            headers={"Authorization": f"Bearer {gateway.key}"},
        ) as reply:
            status = reply.status
            raw = await reply.read()
            if status == 200:
                text, block = _streamed(raw) if stream else _whole(raw)
                broken = stream and b"event: error" in raw
    answered = time.monotonic()
    return Seen(
        place, began, answered, status, block.get("adapter"), block.get("release"), text, broken
    )


def _whole(raw: bytes) -> tuple[str, dict[str, str]]:
    body = orjson.loads(raw)
    return body["choices"][0]["message"]["content"], body["inkstone"]


def _streamed(raw: bytes) -> tuple[str, dict[str, str]]:
    lines = (line for line in raw.split(b"\n") if line.startswith(b"data: {"))
    chunks = [orjson.loads(line.removeprefix(b"data: ")) for line in lines]
    deltas = (c["delta"] for chunk in chunks for c in chunk.get("choices", []))
    text = "".join(delta.get("content") or "" for delta in deltas)
    return text, next((c["inkstone"] for c in chunks if "inkstone" in c), {})
