"""An OpenAI-shaped upstream that does no work: what is measured with it is the way, not the model.

python benchmarks/loopback/upstream.py <port>
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import cast

import orjson
import uvloop

TOKENS = 32
TOKEN_SECONDS = 0.01
"""One stream sends a token every 10 ms: 64 streams are 6,400 tokens a second."""

_USAGE = {"prompt_tokens": 12, "completion_tokens": TOKENS, "total_tokens": 12 + TOKENS}
_WHOLE = orjson.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "base",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "word " * TOKENS},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": _USAGE,
    }
)
_REPLY = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: "
    + str(len(_WHOLE)).encode()
    + b"\r\n\r\n"
    + _WHOLE
)
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)


class Upstream(asyncio.Protocol):
    """One connection, kept alive."""

    def __init__(self) -> None:
        self._received = b""
        self._transport: asyncio.Transport
        self._streams: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        for stream in self._streams:
            stream.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, rest = self._received.partition(b"\r\n\r\n")
        if not separator or len(rest) < _content_length(head):
            return
        self._received = b""
        if b'"stream":true' not in rest:
            self._transport.write(_REPLY)
            return
        stream = asyncio.get_running_loop().create_task(self._stream())
        self._streams.add(stream)
        stream.add_done_callback(self._streams.discard)

    async def _stream(self) -> None:
        """Send tokens that carry the moment at which they were sent."""
        self._transport.write(_STREAM_HEAD + _chunk({"role": "assistant", "content": ""}))
        due = time.monotonic()
        for number in range(TOKENS):
            due += TOKEN_SECONDS
            await asyncio.sleep(max(due - time.monotonic(), 0))
            ended = "stop" if number == TOKENS - 1 else None
            sent = f" {time.monotonic_ns()}"
            self._transport.write(_chunk({"content": sent}, finish=ended, tokens=number + 1))
        last = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": []}
        self._transport.write(_framed(_event({**last, "usage": _USAGE}) + b"data: [DONE]\n\n"))
        self._transport.write(b"0\r\n\r\n")


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def _chunk(delta: dict[str, str], *, finish: str | None = None, tokens: int = 0) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    usage = {**_USAGE, "completion_tokens": tokens, "total_tokens": 12 + tokens}
    chunk = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "base",
        "choices": [choice],
        "usage": usage,
    }
    return _framed(_event(chunk))


def _event(payload: object) -> bytes:
    return b"data: " + orjson.dumps(payload) + b"\n\n"


def _framed(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
