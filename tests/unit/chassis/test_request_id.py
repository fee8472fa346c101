"""One id for a request: kept when well formed, made when not, echoed and logged either way."""

from __future__ import annotations

import re

import aiohttp
import pytest
from fastapi import FastAPI

from services.chassis.request_id import current_request_id, new_request_id
from tests.fakes.loopback import running

pytestmark = pytest.mark.anyio

MADE = re.compile(r"[0-9a-f]{24}")


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    @app.get("/id")
    async def id_() -> str:
        return current_request_id()

    return app


async def ids(app: FastAPI, session: aiohttp.ClientSession, given: str | None) -> tuple[str, str]:
    """The id that the handler saw and the one that the reply carries."""
    headers = {} if given is None else {"X-Request-Id": given}
    async with running(app) as url, session.get(url + "/id", headers=headers) as reply:
        return await reply.json(), reply.headers["x-request-id"]


@pytest.mark.parametrize("given", ["a", "chat-42:retry.1_B", "x" * 128])
async def test_a_well_formed_id_is_kept_and_echoed(
    app: FastAPI, session: aiohttp.ClientSession, given: str
) -> None:
    assert await ids(app, session, given) == (given, given)


@pytest.mark.parametrize("given", [None, "", "x" * 129, "a b", "요청", 'a"b', "{}"])
async def test_a_malformed_id_is_replaced(
    app: FastAPI, session: aiohttp.ClientSession, given: str | None
) -> None:
    seen, echoed = await ids(app, session, given)
    assert MADE.fullmatch(seen)
    assert echoed == seen


async def test_a_refusal_carries_the_id_too(app: FastAPI, session: aiohttp.ClientSession) -> None:
    async with running(app) as url:
        async with session.get(url + "/nowhere", headers={"X-Request-Id": "req-1"}) as reply:
            assert (reply.status, reply.headers["x-request-id"]) == (404, "req-1")
        async with session.post(url + "/id", data=b"x" * 9999) as reply:
            assert reply.status == 413
            assert MADE.fullmatch(reply.headers["x-request-id"])


def test_outside_of_a_request_there_is_no_id() -> None:
    assert current_request_id() == ""


def test_new_ids_differ() -> None:
    assert len({new_request_id() for _ in range(100)}) == 100
