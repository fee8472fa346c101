"""Peer: what another service's answers and failures become for our own caller."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import aiohttp
import pytest
from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from services.chassis.errors import (
    InvalidRequest,
    NotFound,
    Overloaded,
    ServiceError,
    Unavailable,
    UpstreamFailed,
    UpstreamTimeout,
)
from services.chassis.http import MAX_ERROR_BYTES, Deadlines, Peer
from tests.fakes.loopback import running
from tests.unit.chassis.conftest import http_only

pytestmark = pytest.mark.anyio


def refusing(status: int, body: Any, **headers: str) -> Any:
    """An app that answers everything with one refusal."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response = (
            Response(body, status, headers)
            if isinstance(body, bytes)
            else JSONResponse(body, status, headers)
        )
        await response(scope, receive, send)

    return app


async def failure(app: Any, session: aiohttp.ClientSession, **options: Any) -> ServiceError:
    async with running(http_only(app)) as url:
        with pytest.raises(ServiceError) as caught:
            await Peer("retriever", url, session, **options).json("POST", "/x", body={})
    return caught.value


async def test_a_call_sends_key_request_id_and_json(session: aiohttp.ClientSession) -> None:
    app = FastAPI()

    @app.post("/collections/{name}")
    async def echo(name: str, request: Request) -> dict[str, Any]:
        return {
            "name": name,
            "body": await request.json(),
            "key": request.headers["authorization"],
            "type": request.headers["content-type"],
            "query": dict(request.query_params),
        }

    async with running(app) as url:
        peer = Peer("retriever", url, session, api_key="k")
        path = "/collections/%ED%95%9C%EA%B8%80"
        said = await peer.json("POST", path, body={"질문": "환불?"}, params={"after": "가 나"})
    assert said == {
        "name": "한글",
        "body": {"질문": "환불?"},
        "key": "Bearer k",
        "type": "application/json",
        "query": {"after": "가 나"},
    }


async def test_an_escaped_slash_stays_part_of_its_segment(session: aiohttp.ClientSession) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await JSONResponse(scope["raw_path"].decode())(scope, receive, send)

    async with running(http_only(app)) as url:
        assert await Peer("retriever", url, session).json("GET", "/a%2Fb/c%3Fd") == "/a%2Fb/c%3Fd"


async def test_a_request_id_travels_to_the_peer(
    app: FastAPI, session: aiohttp.ClientSession
) -> None:
    behind = FastAPI()

    @behind.get("/id")
    async def id_(request: Request) -> str:
        return request.headers["x-request-id"]

    async with running(behind) as behind_url:

        @app.get("/relay")
        async def relay() -> Any:
            return await Peer("retriever", behind_url, session).json("GET", "/id")

        headers = {"X-Request-Id": "req-9"}
        async with running(app) as url, session.get(url + "/relay", headers=headers) as reply:
            assert await reply.json() == "req-9"


async def test_an_empty_reply_is_none(session: aiohttp.ClientSession) -> None:
    async with running(http_only(refusing(204, b""))) as url:
        assert await Peer("retriever", url, session).json("DELETE", "/x") is None


async def test_a_peer_that_is_not_there_is_unavailable(session: aiohttp.ClientSession) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        peer = Peer("retriever", f"http://127.0.0.1:{free.getsockname()[1]}", session)
        with pytest.raises(Unavailable) as caught:
            await peer.json("GET", "/x")
    assert caught.value.code == "retriever_unreachable"


async def test_a_peer_that_does_not_answer_in_time_is_a_timeout(
    session: aiohttp.ClientSession,
) -> None:
    async def silent(_: Scope, receive: Receive, __: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    for deadlines in (Deadlines(read=0.05), Deadlines(total=0.05)):
        error = await failure(silent, session, deadlines=deadlines)
        assert isinstance(error, UpstreamTimeout)
        assert error.code == "retriever_timeout"


async def test_a_reply_that_breaks_off_is_a_failure_of_the_peer(
    session: aiohttp.ClientSession,
) -> None:
    async def broken(_: Scope, __: Receive, send: Send) -> None:
        headers = [(b"content-length", b"100")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})
        raise ConnectionError("gone")

    error = await failure(broken, session)
    assert isinstance(error, UpstreamFailed)
    assert error.code == "retriever_failed"


async def test_a_connection_closed_without_a_reply_is_a_failure_of_the_peer(
    session: aiohttp.ClientSession,
) -> None:
    async def slam(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(slam, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(UpstreamFailed):
            await Peer("retriever", f"http://127.0.0.1:{port}", session).json("POST", "/", body=1)


async def test_a_reply_that_is_no_json_is_a_failure_of_the_peer(
    session: aiohttp.ClientSession,
) -> None:
    error = await failure(refusing(200, b"<html>"), session)
    assert isinstance(error, UpstreamFailed)


async def test_a_4xx_is_the_callers_with_its_code_and_param(session: aiohttp.ClientSession) -> None:
    said = {
        "message": "없는 컬렉션입니다.",
        "type": "t",
        "param": "c",
        "code": "unknown_collection",
    }
    error = await failure(refusing(404, {"error": said}), session)
    assert isinstance(error, NotFound)
    assert (error.message, error.code, error.param) == (
        "없는 컬렉션입니다.",
        "unknown_collection",
        "c",
    )


@pytest.mark.parametrize("status", [405, 408, 415, 418])
async def test_a_4xx_that_we_do_not_use_is_a_400(
    session: aiohttp.ClientSession, status: int
) -> None:
    error = await failure(refusing(status, {"error": {"message": "m"}}), session)
    assert type(error) is InvalidRequest


async def test_a_numeric_code_is_not_passed_for_a_stable_one(
    session: aiohttp.ClientSession,
) -> None:
    said = {"message": "too long", "type": "BadRequestError", "param": None, "code": 400}
    error = await failure(refusing(400, {"error": said}), session)
    assert (error.code, error.message) == ("invalid_request", "too long")


@pytest.mark.parametrize(
    "body",
    [
        {"error": "Unauthorized"},
        {"error": {"message": {"a": 1}, "code": ["x"], "param": {"b": 2}}},
        {"error": {"message": None}},
        {"error": ["x"]},
        {"detail": "x"},
        ["x"],
        b"",
        b"plain text",
        b"\xff\xfe",
    ],
)
async def test_a_refusal_in_any_shape_becomes_an_error_with_a_body(
    session: aiohttp.ClientSession, body: Any
) -> None:
    error = await failure(refusing(400, body), session)
    assert isinstance(error, InvalidRequest)
    assert error.body.error.code == "invalid_request"


@pytest.mark.parametrize("status", [401, 403])
async def test_a_peer_that_refuses_our_key_is_not_the_callers_401(
    session: aiohttp.ClientSession, status: int
) -> None:
    error = await failure(refusing(status, {"error": {"message": "bad key"}}), session)
    assert isinstance(error, UpstreamFailed)
    assert "key" not in error.message


@pytest.mark.parametrize(("status", "kind"), [(500, UpstreamFailed), (503, Unavailable)])
async def test_a_5xx_hides_the_peers_words(
    session: aiohttp.ClientSession, status: int, kind: type[ServiceError]
) -> None:
    error = await failure(refusing(status, {"error": {"message": "a trace"}}), session)
    assert type(error) is kind
    assert "trace" not in error.message


async def test_the_peers_wish_to_wait_is_passed_on(session: aiohttp.ClientSession) -> None:
    busy = {"error": {"message": "busy", "code": "queue_full"}}
    error = await failure(refusing(429, busy, **{"Retry-After": "9"}), session)
    assert isinstance(error, Overloaded)
    assert (error.code, error.retry_after_seconds) == ("queue_full", 9)
    error = await failure(refusing(503, busy, **{"Retry-After": "soon"}), session)
    assert error.retry_after_seconds is None


async def test_a_refusal_in_several_pieces_is_read_whole(session: aiohttp.ClientSession) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def pieces() -> Any:
            for piece in (b'{"error": {"mess', b'age": "late", "co', b'de": "late_code"}}'):
                yield piece
                await asyncio.sleep(0.01)

        await StreamingResponse(pieces(), 409)(scope, receive, send)

    error = await failure(app, session)
    assert (error.status, error.code) == (409, "late_code")


async def test_an_endless_refusal_is_read_up_to_the_limit(session: aiohttp.ClientSession) -> None:
    endless = b"x" * (MAX_ERROR_BYTES * 3)
    error = await failure(refusing(400, endless), session)
    assert len(error.message) == 300


async def test_a_redirect_is_not_followed(session: aiohttp.ClientSession) -> None:
    away = http_only(refusing(302, b"", Location="http://127.0.0.1:9/"))
    async with running(away) as url, Peer("a", url, session).stream("GET", "/x") as reply:
        assert reply.status == 302


async def test_leaving_a_stream_early_disconnects_the_peer(session: aiohttp.ClientSession) -> None:
    gone = asyncio.Event()

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()

    async with running(http_only(app)) as url:
        async with Peer("engine", url, session).stream("GET", "/x") as reply:
            assert await reply.content.readline() == b"data: 1\n"
        async with asyncio.timeout(10):
            await gone.wait()


async def test_a_peer_may_neither_pack_its_reply_nor_leave_a_cookie(
    session: aiohttp.ClientSession,
) -> None:
    app = FastAPI()

    @app.get("/")
    async def echo(request: Request) -> Response:
        seen = {name: request.headers.get(name) for name in ("accept-encoding", "cookie")}
        reply = JSONResponse(seen)
        reply.set_cookie("visitor", "1")
        return reply

    async with running(app) as url:
        peer = Peer("retriever", url, session)
        for _ in range(2):
            assert await peer.json("GET", "/") == {"accept-encoding": "identity", "cookie": None}
