"""Health, readiness and the log: what a person on call reads."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import aiohttp
import pytest
import structlog
from fastapi import FastAPI

from services.chassis.health import health_routes
from services.chassis.logging import configure_logging
from tests.fakes.loopback import running

pytestmark = pytest.mark.anyio


@pytest.fixture
def _restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, configured = root.handlers[:], root.level, structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    # Not the library's defaults: with those a traceback takes seconds, in which nothing else runs.
    structlog.configure(**configured)


async def test_readiness_names_what_is_missing(
    app: FastAPI, session: aiohttp.ClientSession
) -> None:
    missing = {"engine": "starting"}
    app.include_router(health_routes(lambda: missing))
    async with running(app) as url:
        async with session.get(url + "/readyz") as reply:
            assert reply.status == 503
            assert await reply.json() == {"status": "not_ready", "missing": {"engine": "starting"}}
        missing.clear()
        async with session.get(url + "/readyz") as reply:
            assert reply.status == 200
            assert await reply.json() == {"status": "ready", "missing": {}}


async def test_a_service_that_is_not_ready_is_alive(
    app: FastAPI, session: aiohttp.ClientSession
) -> None:
    app.include_router(health_routes(lambda: {"engine": "starting"}))
    async with running(app) as url, session.get(url + "/healthz") as reply:
        assert reply.status == 200


@pytest.mark.usefixtures("_restored_logging")
async def test_a_request_is_one_json_line_with_its_id_and_without_its_query(
    app: FastAPI, session: aiohttp.ClientSession, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("sample")

    @app.get("/문서")
    async def documents() -> str:
        return "ok"

    headers = {"X-Request-Id": "req-1"}
    async with running(app) as url:
        await session.get(url + "/문서?q=secret", headers=headers)
        await session.get(url + "/healthz")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    (line,) = [line for line in lines if line["event"] == "request"]
    assert line["path"] == "/문서"
    assert (line["service"], line["request_id"], line["status"]) == ("sample", "req-1", 200)
    assert "secret" not in json.dumps(line)


@pytest.mark.usefixtures("_restored_logging")
async def test_a_crash_is_logged_with_its_cause_and_the_requests_id(
    app: FastAPI, session: aiohttp.ClientSession, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("sample")

    @app.get("/crash")
    async def crash() -> None:
        raise ZeroDivisionError("the cause")

    async with running(app) as url:
        await session.get(url + "/crash", headers={"X-Request-Id": "req-2"})
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    crashed, request = (line for line in lines if line.get("request_id") == "req-2")
    assert (crashed["event"], crashed["level"]) == ("request.crashed", "error")
    assert "ZeroDivisionError: the cause" in crashed["exception"]
    assert (request["event"], request["status"]) == ("request", 500)


@pytest.mark.usefixtures("_restored_logging")
def test_the_standard_librarys_logs_take_the_same_form(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("sample", level="WARNING")
    logging.getLogger("somewhere").warning("한글 %s", "경고")
    logging.getLogger("somewhere").info("not written")
    (line,) = capsys.readouterr().err.splitlines()
    said = json.loads(line)
    assert (said["event"], said["service"], said["level"]) == ("한글 경고", "sample", "warning")


@pytest.mark.usefixtures("_restored_logging")
def test_a_library_that_would_write_values_stays_silent_also_where_everything_is_written(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("sample", level="DEBUG")
    logging.getLogger("aiosqlite").debug("executing %s", ("INSERT", ["a secret"]))
    logging.getLogger("aiosqlite").info("opened")
    structlog.get_logger().debug("sample.seen")
    events = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert events == ["opened", "sample.seen"]
