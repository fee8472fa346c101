"""Bodies larger than the limit are refused before they are read."""

from __future__ import annotations

import re

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.chassis.errors import PayloadTooLarge, error_response


class _TooLargeError(Exception):
    """Raised inside `receive` once the limit is passed."""


class BodyLimitMiddleware:
    """Refuses a request body over a limit, declared or streamed; paths may have their own limit.

    Args:
        default_bytes: the limit of every path that no prefix names.
        by_prefix: limits by path prefix, first match wins; a prefix may hold `*` for one part of
            the path.
    """

    def __init__(
        self, app: ASGIApp, *, default_bytes: int, by_prefix: dict[str, int] | None = None
    ) -> None:
        self._app = app
        self._default = default_bytes
        self._limits = [(_pattern(prefix), size) for prefix, size in (by_prefix or {}).items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI event stream."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        limit = next(
            (size for pattern, size in self._limits if pattern.match(path)),
            self._default,
        )
        declared = next((v for k, v in scope["headers"] if k == b"content-length"), None)
        if declared is not None and declared.isdigit() and int(declared) > limit:
            await _refusal(limit)(scope, receive, send)
            return
        received, started = 0, False

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise _TooLargeError
            return message

        async def noted(message: Message) -> None:
            # The app may turn the exception into a reply of its own; the refusal takes its place.
            nonlocal started
            if received > limit and not started:
                return
            started = True
            await send(message)

        try:
            await self._app(scope, counted, noted)
        except _TooLargeError:
            if started:
                raise
        if received > limit and not started:
            await _refusal(limit)(scope, receive, send)


def _refusal(limit: int) -> Response:
    return error_response(
        PayloadTooLarge(f"The body is larger than {limit} bytes; send less at a time.")
    )


def _pattern(prefix: str) -> re.Pattern[str]:
    return re.compile("[^/]+".join(map(re.escape, prefix.split("*"))))
