"""What can go wrong in a service, and the one body that says so.

    ServiceError
    ├── InvalidRequest          400   the caller can mend the request
    ├── Unauthenticated         401
    ├── Forbidden               403
    ├── NotFound                404
    ├── Conflict                409   the state says no; the same call will not succeed
    ├── PayloadTooLarge         413
    ├── Unprocessable           422   a file or adapter that was read and refused
    ├── Overloaded              429   come back after `retry_after_seconds`
    ├── UpstreamFailed          502   a service behind this one answered badly
    ├── Unavailable             503   not ready yet, or not any more
    └── UpstreamTimeout         504

Each room subclasses these and sets a stable `code`, listed in docs/errors.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from pydantic_core import from_json
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.contracts.errors import ErrorBody, ErrorDetail
from services.contracts.wire import said_of

_log = structlog.get_logger(__name__)

_WANTED = "Input should be "
"""How the library begins to say what a value must be."""


class ServiceError(Exception):
    """An error with a status and a stable code; its text is one sentence with the mend."""

    status = 500
    code = "internal_error"
    kind = "server_error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.code
        self.param = param
        self.retry_after_seconds = retry_after_seconds

    @property
    def body(self) -> ErrorBody:
        """The error in OpenAI's shape."""
        return ErrorBody(
            error=ErrorDetail(
                message=self.message, type=self.kind, param=self.param, code=self.code
            )
        )


class InvalidRequest(ServiceError):
    """The request is malformed or asks for something that cannot be."""

    status, code, kind = 400, "invalid_request", "invalid_request_error"


class Unauthenticated(ServiceError):
    """No key, or one that is not known."""

    status, code, kind = 401, "invalid_api_key", "authentication_error"


class Forbidden(ServiceError):
    """The key is known and may not do this."""

    status, code, kind = 403, "forbidden", "permission_error"


class NotFound(ServiceError):
    """There is no such thing, or the key may not see it."""

    status, code, kind = 404, "not_found", "invalid_request_error"


class Conflict(ServiceError):
    """The current state forbids it; the same call will not succeed later by itself."""

    status, code, kind = 409, "conflict", "invalid_request_error"


class PayloadTooLarge(ServiceError):
    """The body is larger than the limit."""

    status, code, kind = 413, "payload_too_large", "invalid_request_error"


class Unprocessable(ServiceError):
    """A file or adapter was read and refused."""

    status, code, kind = 422, "unprocessable", "invalid_request_error"


class Overloaded(ServiceError):
    """Too much at once; the same call may succeed after a while."""

    status, code, kind = 429, "overloaded", "rate_limit_error"


class UpstreamFailed(ServiceError):
    """A service behind this one answered with an error or broke off."""

    status, code, kind = 502, "upstream_failed", "server_error"


class Unavailable(ServiceError):
    """The service, or one behind it, is not ready."""

    status, code, kind = 503, "unavailable", "server_error"


class UpstreamTimeout(ServiceError):
    """A service behind this one took too long."""

    status, code, kind = 504, "upstream_timeout", "server_error"


ERRORS_BY_STATUS: Mapping[int, type[ServiceError]] = {
    kind.status: kind
    for kind in (
        InvalidRequest,
        Unauthenticated,
        Forbidden,
        NotFound,
        Conflict,
        PayloadTooLarge,
        Unprocessable,
        Overloaded,
        UpstreamFailed,
        Unavailable,
        UpstreamTimeout,
    )
}


def error_headers(error: ServiceError) -> dict[str, str]:
    """Say when to try again, and stop the official client from retrying what cannot succeed."""
    headers = {}
    if error.status == 409:
        headers["x-should-retry"] = "false"
    if error.retry_after_seconds is not None:
        headers["retry-after"] = str(math.ceil(error.retry_after_seconds))
    elif error.status in (429, 503):
        headers["retry-after"] = "1"
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    return headers


def error_response(error: ServiceError) -> Response:
    """Render an error as a response."""
    return Response(
        error.body.model_dump_json(),
        status_code=error.status,
        headers=error_headers(error),
        media_type="application/json",
    )


def invalid_request_from(
    error: ValidationError | RequestValidationError, text: bytes | str | None = None
) -> InvalidRequest:
    """Turn the first finding of a validation into one sentence.

    Args:
        text: the JSON that was validated, where it is at hand; FastAPI's own error has it. With it
            a value that may be one of several kinds is named by its field alone, with what each
            kind wants.
    """
    findings: list[dict[str, Any]] = [{**finding} for finding in error.errors()]
    first = findings[0]
    if first["type"] == "json_invalid":
        return InvalidRequest(f"The body is not valid JSON: {_reason(first)}.", code="invalid_json")
    body = from_json(text) if text else None
    if isinstance(error, RequestValidationError):
        body = error.body if first["loc"][0] == "body" else None
        findings = [one for one in findings if one["loc"][0] == first["loc"][0]]
        for finding in findings:
            # FastAPI puts the request's part before the field; a field may have such a name itself.
            finding["loc"] = finding["loc"][1:]
    paths = [_fields(finding, body) for finding in findings]
    # A value that is of one of several kinds fails as each other kind too; what stands within says
    # most.
    within = [one for one in paths if one[: len(paths[0])] == paths[0]]
    path = max(within, key=len) if len(paths[0]) < len(first["loc"]) else paths[0]
    alike = [one for one, place in zip(findings, paths, strict=True) if place == path]
    said = _joined([said_of(finding).rstrip(".") for finding in alike])
    where = ".".join(map(str, path))
    said = said if where else said[:1].upper() + said[1:]
    message = f"{where}: {said}." if where else f"{said}."
    return InvalidRequest(message, param=where or None)


def _fields(finding: Mapping[str, Any], body: Any) -> tuple[str | int, ...]:
    """Find the path of a finding without the names that the library gives to kinds of a union."""
    path: tuple[str | int, ...] = finding["loc"]
    if not isinstance(body, dict | list):
        return path
    value: Any = body
    kept: list[str | int] = []
    for place, part in enumerate(path):
        absent = finding["type"] == "missing" and place == len(path) - 1
        within = (isinstance(value, dict) and part in value) or (
            isinstance(value, list) and isinstance(part, int) and part < len(value)
        )
        if within:
            value = value[part]
        if within or absent:
            kept.append(part)
    return tuple(kept)


def _joined(said: Sequence[str]) -> str:
    """Say what each kind of a value wants: `Input should be 'auto' or greater than 0`."""
    distinct = list(dict.fromkeys(said))
    if len(distinct) == 1 or not all(one.startswith(_WANTED) for one in distinct):
        return distinct[0]
    return _WANTED + " or ".join(one.removeprefix(_WANTED) for one in distinct)


def _reason(finding: Mapping[str, object]) -> str:
    context = finding.get("ctx")
    return str(context.get("error", "broken")) if isinstance(context, dict) else "broken"


def install_error_handlers(app: FastAPI) -> None:
    """Answer every error of an app with the one body."""

    @app.exception_handler(ServiceError)
    async def _service_error(_: Request, error: ServiceError) -> Response:
        return error_response(error)

    @app.exception_handler(RequestValidationError)
    async def _validation_error(_: Request, error: RequestValidationError) -> Response:
        return error_response(invalid_request_from(error))

    @app.exception_handler(HTTPException)
    async def _http_error(request: Request, error: HTTPException) -> Response:
        fallback = InvalidRequest if error.status_code < 500 else ServiceError
        kind = ERRORS_BY_STATUS.get(error.status_code, fallback)
        known = kind(f"{request.method} {request.url.path}: {error.detail}.")
        known.status = error.status_code
        response = error_response(known)
        response.headers.update(error.headers or {})
        return response


class CrashMiddleware:
    """Answers a request whose handling crashed, inside the request's own id and log line.

    Starlette's handler for `Exception` stands outside of every middleware, so its reply would carry
    no request id.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI event stream."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception as error:
            _log.error("request.crashed", path=scope["path"], exc_info=error)
            if started:
                raise
            crash = error_response(ServiceError("The server failed; the log has the cause."))
            await crash(scope, receive, send)
