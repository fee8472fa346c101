"""Writing a response, and noticing that nobody reads it any more."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import orjson
import pytest
from starlette.types import Message

from services.chassis.errors import Unavailable
from services.gateway.incoming import read_body
from services.gateway.streaming import (
    ClientGone,
    Responder,
    WhileConnected,
    encode_error,
    encode_event,
)

pytestmark = pytest.mark.anyio


class Client:
    """The app's end of one request."""

    def __init__(self, *messages: Message) -> None:
        self.incoming: asyncio.Queue[Message] = asyncio.Queue()
        self.sent: list[Message] = []
        for message in messages:
            self.incoming.put_nowait(message)

    def leave(self) -> None:
        self.incoming.put_nowait({"type": "http.disconnect"})

    async def receive(self) -> Message:
        return await self.incoming.get()

    async def send(self, message: Message) -> None:
        self.sent.append(message)


def watched(client: Client) -> WhileConnected:
    return WhileConnected(client.receive, Responder(client.send))


def piece(body: bytes, *, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_body_is_read_to_its_end() -> None:
    client = Client(piece(b"a", more=True), piece(b"", more=True), piece(b"b"))
    assert await read_body(client.receive) == b"ab"
    assert await read_body(Client({"type": "http.request"}).receive) == b""


async def test_a_client_that_leaves_while_sending_is_gone() -> None:
    client = Client(piece(b"a", more=True))
    client.leave()
    with pytest.raises(ClientGone):
        await read_body(client.receive)


async def test_the_body_stops_where_it_waits_when_the_client_leaves() -> None:
    client, steps = Client(), []

    async def work() -> None:
        async with watched(client):
            steps.append("began")
            client.leave()
            await asyncio.Event().wait()
            steps.append("went on")

    with pytest.raises(ClientGone):
        await work()
    assert steps == ["began"]


async def test_a_body_that_finishes_first_is_not_disturbed() -> None:
    client = Client()
    async with watched(client):
        await asyncio.sleep(0)
    client.leave()
    await asyncio.sleep(0)
    assert pending_cancellations() == 0


def pending_cancellations() -> int:
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling()


async def test_a_body_that_hides_its_cancellation_still_ends_with_the_client_gone() -> None:
    client = Client()

    async def work() -> None:
        async with watched(client):
            client.leave()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    with pytest.raises(ClientGone):
        await work()
    assert pending_cancellations() == 0
    await asyncio.sleep(0)


async def test_an_error_while_cleaning_up_leaves_no_cancellation_behind() -> None:
    client = Client()

    async def work() -> None:
        async with watched(client):
            client.leave()
            try:
                await asyncio.Event().wait()
            finally:
                raise KeyError

    with pytest.raises(KeyError):
        await work()
    assert pending_cancellations() == 0
    await asyncio.sleep(0)


async def test_a_client_that_leaves_with_the_whole_response_is_not_missed() -> None:
    client, steps = Client(), []
    responder = Responder(client.send)
    async with WhileConnected(client.receive, responder):
        await responder.piece(b"all", last=True)
        client.leave()
        for _ in range(5):
            await asyncio.sleep(0)
        steps.append("cleaned up")
    assert steps == ["cleaned up"]


async def test_an_error_of_the_body_passes() -> None:
    with pytest.raises(KeyError):
        async with watched(Client()):
            raise KeyError


async def test_a_cancellation_from_outside_is_not_a_client_that_left() -> None:
    began = asyncio.Event()

    async def work() -> None:
        async with watched(Client()):
            began.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_timeout_inside_is_not_a_client_that_left() -> None:
    with pytest.raises(TimeoutError):
        async with watched(Client()), asyncio.timeout(0.01):
            await asyncio.Event().wait()


async def test_cleaning_up_after_a_client_may_wait() -> None:
    client, steps = Client(), []

    async def work() -> None:
        async with watched(client):
            client.leave()
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                steps.append("cleaned")

    with pytest.raises(ClientGone):
        await work()
    assert steps == ["cleaned"]


async def test_a_whole_response_says_its_length() -> None:
    client = Client()
    await Responder(client.send, [(b"x-inkstone-release", b"support/1")]).whole({"답": 1})
    start, body = client.sent
    headers = dict(start["headers"])
    assert start["status"] == 200
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"content-length"] == str(len(body["body"])).encode()
    assert headers[b"x-inkstone-release"] == b"support/1"
    assert orjson.loads(body["body"]) == {"답": 1}
    assert not body.get("more_body")


async def test_a_stream_opens_with_its_first_piece() -> None:
    client = Client()
    responder = Responder(client.send)
    assert not responder.started
    await responder.piece(b"one")
    await responder.piece(b"two", last=True)
    start, *bodies = client.sent
    assert dict(start["headers"])[b"content-type"] == b"text/event-stream; charset=utf-8"
    assert [(m["body"], m["more_body"]) for m in bodies] == [(b"one", True), (b"two", False)]


async def test_events_are_written_as_the_client_reads_them() -> None:
    assert encode_event({"text": "가"}) == 'data: {"text":"가"}\n\n'.encode()
    written = encode_error(Unavailable("The engine is full; try again.", code="engine_overloaded"))
    head, data, *_ = written.decode().split("\n")
    assert head == "event: error"
    error: dict[str, Any] = orjson.loads(data.removeprefix("data: "))["error"]
    assert error["code"] == "engine_overloaded"
    assert written.endswith(b"\n\n")
