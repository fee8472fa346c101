"""An engine's failures in the gateway's words, and which of them are worth another replica."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import aiohttp
import orjson
import structlog

from services.chassis.errors import (
    InvalidRequest,
    NotFound,
    Overloaded,
    ServiceError,
    Unavailable,
    UpstreamFailed,
    UpstreamTimeout,
)

_log = structlog.get_logger(__name__)


def no_replica(message: str) -> Unavailable:
    """Say that no engine can take the request now."""
    return Unavailable(message, code="no_replica", retry_after_seconds=2)


def overloaded() -> Unavailable:
    """Say that the engine's queue is full."""
    return Unavailable(
        "The engine is full; try again shortly.", code="engine_overloaded", retry_after_seconds=1
    )


def failed() -> UpstreamFailed:
    """Say that the engine answered with something that is no answer."""
    return UpstreamFailed("The engine failed; its log has the cause.", code="engine_failed")


def broke_off() -> UpstreamFailed:
    """Say that the engine's connection ended before its answer did."""
    return UpstreamFailed("The engine broke off its answer; try again.", code="engine_broke_off")


def timed_out(seconds: float, task: str) -> UpstreamTimeout:
    """Say what the engine did not do in time."""
    return UpstreamTimeout(
        f"The engine did not {task} within {seconds:g} s; try again.", code="engine_timeout"
    )


@contextlib.contextmanager
def deadline(seconds: float, task: str) -> Iterator[None]:
    """Name what an engine did not do in time."""
    try:
        yield
    except TimeoutError as error:
        raise timed_out(seconds, task) from error


def decode(payload: bytes) -> dict[str, Any]:
    """Read a JSON object from an engine.

    Raises:
        ServiceError: the error that it holds; `UpstreamFailed` when it is no object at all.
    """
    try:
        decoded = orjson.loads(payload)
    except ValueError as error:
        raise failed() from error
    if not isinstance(decoded, dict):
        raise failed()
    if (detail := decoded.get("error")) is not None:
        raise _told(detail)
    return decoded


def _told(detail: Any) -> ServiceError:
    """Read an error that came under status 200, with the true status in its `code`."""
    fields = detail if isinstance(detail, dict) else {}
    status, message = fields.get("code"), str(fields.get("message", detail))
    if isinstance(status, int) and 400 <= status < 500:
        return InvalidRequest(message, code="engine_rejected_request")
    _log.warning("engine.failed", status=status, message=message)
    return overloaded() if status == 503 else failed()


def for_the_app(error: ServiceError) -> ServiceError:
    """Say an engine's refusal in the gateway's own codes."""
    if isinstance(error, NotFound):
        return no_replica("The engine does not hold this adapter yet; try again shortly.")
    if error.code == "engine_unavailable" or isinstance(error, Overloaded):
        return overloaded()
    if error.status < 500:
        return InvalidRequest(error.message, code="engine_rejected_request", param=error.param)
    return error


def connection_broke(error: ServiceError) -> bool:
    """Tell a broken or refused connection from an answer that is an error."""
    return isinstance(error.__cause__, aiohttp.ClientError) and not isinstance(
        error, UpstreamTimeout
    )


def another_may_answer(error: ServiceError) -> bool:
    """Tell whether a second replica may do better: it is full, broken, or lost the adapter."""
    return isinstance(error, Unavailable | Overloaded | NotFound | UpstreamFailed)
