"""A load generator of bare sockets: one connection a client, one request at a time on each."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, field

import orjson

_CONTENT = re.compile(rb'"content":" (\d+)"')


@dataclass(frozen=True, slots=True)
class Server:
    """Where requests go."""

    name: str
    port: int
    model: str
    key: str

    def request(self, *, stream: bool) -> bytes:
        """Write one request's bytes."""
        question = {
            "model": self.model,
            "messages": [{"role": "user", "content": "How long does delivery take?"}],
            "stream": stream,
        }
        body = orjson.dumps(question)
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            f"Authorization: Bearer {self.key}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


@dataclass(slots=True)
class Measured:
    """What one run gave."""

    requests: int = 0
    seconds: float = 0.0
    times: list[float] = field(default_factory=list)
    """Seconds of each request."""
    delays: list[float] = field(default_factory=list)
    """Seconds from the sending of each token to its arrival."""

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds

    def add(self, other: Measured) -> None:
        """Take another run's figures in."""
        self.requests += other.requests
        self.seconds += other.seconds
        self.times += other.times
        self.delays += other.delays


async def run(server: Server, *, clients: int, seconds: float, stream: bool = False) -> Measured:
    """Ask with so many clients at once for a while."""
    measured = Measured()
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(_client(server, measured, began + seconds, stream=stream))
    measured.seconds = time.perf_counter() - began
    return measured


async def _client(server: Server, measured: Measured, end: float, *, stream: bool) -> None:
    """Ask until the end, once at least."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    request = server.request(stream=stream)
    while True:
        began = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{server.name} answered {head!r} {await reader.read(2000)!r}")
        if stream:
            await _read_stream(reader, measured)
        else:
            await reader.readexactly(_length(head))
        now = time.perf_counter()
        measured.times.append(now - began)
        measured.requests += 1
        if now >= end:
            break
    writer.close()


async def _read_stream(reader: asyncio.StreamReader, measured: Measured) -> None:
    while size := int(await reader.readline(), 16):
        data = await reader.readexactly(size + 2)
        now = time.monotonic_ns()
        measured.delays += [(now - int(sent)) / 1e9 for sent in _CONTENT.findall(data)]
    await reader.readexactly(2)


def _length(head: bytes) -> int:
    found = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    if found is None:
        raise RuntimeError(f"no length in {head!r}")
    return int(found[1])
