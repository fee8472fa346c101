"""What an engine's failure becomes for the app, and which failures are worth another replica."""

from __future__ import annotations

import aiohttp
import pytest

from services.chassis.errors import (
    InvalidRequest,
    NotFound,
    Overloaded,
    ServiceError,
    Unavailable,
    UpstreamFailed,
    UpstreamTimeout,
)
from services.gateway.clients import engine_errors


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InvalidRequest("bad schema", param="x"), 400, "engine_rejected_request"),
        (NotFound("no such model"), 503, "no_replica"),
        (Overloaded("slow down"), 503, "engine_overloaded"),
        (Unavailable("busy", code="engine_unavailable"), 503, "engine_overloaded"),
        (Unavailable("away", code="engine_unreachable"), 503, "engine_unreachable"),
        (UpstreamFailed("broken", code="engine_failed"), 502, "engine_failed"),
        (UpstreamTimeout("slow", code="engine_timeout"), 504, "engine_timeout"),
    ],
)
def test_each_failure_has_one_meaning_for_the_app(
    error: ServiceError, status: int, code: str
) -> None:
    told = engine_errors.for_the_app(error)
    assert (told.status, told.code) == (status, code)


@pytest.mark.parametrize(
    ("payload", "status", "code"),
    [
        (b'{"error": {"message": "busy", "code": 503}}', 503, "engine_overloaded"),
        (b'{"error": {"message": "bad", "code": 400}}', 400, "engine_rejected_request"),
        (b'{"error": {"message": "oops", "code": 500}}', 502, "engine_failed"),
        (b'{"error": {"message": "oops", "code": "internal"}}', 502, "engine_failed"),
        (b'{"error": "Unauthorized"}', 502, "engine_failed"),
        (b"[]", 502, "engine_failed"),
        (b"<html>", 502, "engine_failed"),
        (b"", 502, "engine_failed"),
    ],
)
def test_an_error_under_status_200_is_an_error(payload: bytes, status: int, code: str) -> None:
    with pytest.raises(ServiceError) as caught:
        engine_errors.decode(payload)
    assert (caught.value.status, caught.value.code) == (status, code)
    if status >= 500:
        assert "oops" not in caught.value.message


def test_a_null_error_is_none() -> None:
    assert engine_errors.decode(b'{"error": null, "id": "1"}')["id"] == "1"


def caused(error: ServiceError, cause: BaseException) -> ServiceError:
    error.__cause__ = cause
    return error


def test_a_broken_connection_is_told_from_an_answer() -> None:
    broken = caused(UpstreamFailed("broke"), aiohttp.ServerDisconnectedError())
    slow = caused(UpstreamTimeout("slow"), aiohttp.SocketTimeoutError())
    assert engine_errors.connection_broke(broken)
    assert not engine_errors.connection_broke(slow)
    assert not engine_errors.connection_broke(UpstreamFailed("status 500"))


@pytest.mark.parametrize(
    ("error", "worth"),
    [
        (Unavailable("busy"), True),
        (Overloaded("busy"), True),
        (NotFound("no such model"), True),
        (InvalidRequest("bad"), False),
        (UpstreamFailed("500"), True),
        (UpstreamTimeout("slow"), False),
    ],
)
def test_only_a_full_a_bare_or_a_broken_replica_is_worth_another(
    error: ServiceError, worth: bool
) -> None:
    assert engine_errors.another_may_answer(error) is worth


def test_a_missed_deadline_names_the_task() -> None:
    with pytest.raises(UpstreamTimeout, match=r"send its first token within 2\.5 s") as caught:
        with engine_errors.deadline(2.5, "send its first token"):
            raise TimeoutError
    assert caught.value.code == "engine_timeout"
