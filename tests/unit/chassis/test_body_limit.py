"""Bodies over the limit are refused, declared or streamed, whatever the app makes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from fastapi import FastAPI, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from services.chassis.body_limit import BodyLimitMiddleware
from tests.fakes.loopback import running
from tests.unit.chassis.conftest import BODY_LIMIT, UPLOAD_LIMIT, http_only

pytestmark = pytest.mark.anyio


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    @app.post("/json")
    async def parsed(body: dict[str, str]) -> int:
        return len(body["text"])

    @app.post("/raw")
    @app.post("/upload/files")
    async def raw(request: Request) -> int:
        return sum([len(piece) async for piece in request.stream()])

    return app


async def trickle(size: int) -> AsyncIterator[bytes]:
    """A body of unknown length, in pieces of half a kibibyte."""
    for start in range(0, size, 512):
        yield b"x" * min(512, size - start)


async def status_of(
    app: FastAPI, session: aiohttp.ClientSession, path: str, body: object
) -> tuple[int, str | None]:
    headers = {"Content-Type": "application/json"}
    async with running(app) as url, session.post(url + path, data=body, headers=headers) as reply:
        answer = await reply.json()
    return reply.status, answer["error"]["code"] if reply.status >= 400 else None


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_body_at_the_limit_passes(
    app: FastAPI, session: aiohttp.ClientSession, *, streamed: bool
) -> None:
    body = trickle(BODY_LIMIT) if streamed else b"x" * BODY_LIMIT
    assert await status_of(app, session, "/raw", body) == (200, None)


@pytest.mark.parametrize("path", ["/raw", "/json", "/nowhere"])
async def test_a_declared_body_over_the_limit_is_a_413(
    app: FastAPI, session: aiohttp.ClientSession, path: str
) -> None:
    body = b"x" * (BODY_LIMIT + 1)
    assert await status_of(app, session, path, body) == (413, "payload_too_large")


@pytest.mark.parametrize("path", ["/raw", "/json"])
async def test_a_streamed_body_over_the_limit_is_a_413(
    app: FastAPI, session: aiohttp.ClientSession, path: str
) -> None:
    answer = await status_of(app, session, path, trickle(BODY_LIMIT + 1))
    assert answer == (413, "payload_too_large")


@pytest.mark.parametrize(("size", "status"), [(UPLOAD_LIMIT, 200), (UPLOAD_LIMIT + 1, 413)])
async def test_a_path_may_have_a_limit_of_its_own(
    app: FastAPI, session: aiohttp.ClientSession, size: int, status: int
) -> None:
    assert (await status_of(app, session, "/upload/files", trickle(size)))[0] == status


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/c/한글/files", 200),
        ("/c/a/files/more", 200),
        ("/c/a/b/files", 413),
        ("/c//files", 413),
        ("/x/c/a/files", 413),
    ],
)
async def test_a_star_stands_for_one_part_of_the_path(
    session: aiohttp.ClientSession, path: str, status: int
) -> None:
    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        await Response("ok")(scope, receive, send)

    app = BodyLimitMiddleware(inner, default_bytes=8, by_prefix={"/c/*/files": 64})
    async with (
        running(http_only(app)) as url,
        session.post(url + path, data=b"x" * 32) as reply,
    ):
        assert reply.status == status


async def test_a_reply_that_has_begun_breaks_off(session: aiohttp.ClientSession) -> None:
    async def hasty(_: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while (await receive()).get("more_body"):
            await send({"type": "http.response.body", "body": b"x", "more_body": True})

    app = http_only(BodyLimitMiddleware(hasty, default_bytes=BODY_LIMIT))
    body = trickle(BODY_LIMIT + 1)
    async with running(app) as url, session.post(url, data=body) as reply:
        assert reply.status == 200
        with pytest.raises(aiohttp.ClientError):
            await reply.read()


async def test_the_refusal_names_the_limit(app: FastAPI, session: aiohttp.ClientSession) -> None:
    body = b"x" * (BODY_LIMIT + 1)
    async with running(app) as url, session.post(url + "/raw", data=body) as reply:
        error = (await reply.json())["error"]
    assert str(BODY_LIMIT) in error["message"]


async def test_what_is_not_http_passes_untouched() -> None:
    seen: list[str] = []

    async def inner(scope: Scope, _: Receive, __: Send) -> None:
        seen.append(scope["type"])

    async def receive() -> Message:
        raise AssertionError("nothing is to be read")

    async def send(_: Message) -> None:
        raise AssertionError("nothing is to be sent")

    await BodyLimitMiddleware(inner, default_bytes=1)({"type": "lifespan"}, receive, send)
    assert seen == ["lifespan"]
