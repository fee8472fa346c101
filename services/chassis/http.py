"""Speaking HTTP to another service: one client type, transport errors made ours at the boundary."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson
import structlog

from services.chassis.errors import (
    ERRORS_BY_STATUS,
    ServiceError,
    Unavailable,
    UpstreamFailed,
    UpstreamTimeout,
)
from services.chassis.request_id import HEADER, current_request_id
from services.chassis.tracing import Span, Value, client_span

_log = structlog.get_logger(__name__)

MAX_ERROR_BYTES = 64 * 1024
"""How much of an upstream's error body is read."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a call may take, in seconds."""

    connect: float = 2.0
    read: float | None = 30.0
    """Between two pieces of the reply; None where the caller has a clock of its own."""
    total: float | None = 60.0


def open_session(*, connections: int = 256) -> aiohttp.ClientSession:
    """Open the process's one outbound session; the caller closes it.

    Args:
        connections: at most so many sockets in all.
    """
    connector = aiohttp.TCPConnector(limit=connections, ttl_dns_cache=30)
    # Bodies are read as they come, so none may come packed; no peer's cookie is for another's eyes.
    return aiohttp.ClientSession(
        connector=connector,
        headers={"Accept-Encoding": "identity"},
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    )


@dataclass(frozen=True, slots=True)
class Peer:
    """Another service, reached over a borrowed session."""

    name: str
    """Stands in error messages and logs."""
    base_url: str
    session: aiohttp.ClientSession
    api_key: str | None = None
    deadlines: Deadlines = field(default_factory=Deadlines)

    async def json(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Any:
        """Call and return the decoded reply.

        Raises:
            ServiceError: the peer's own 4xx with its code; `UpstreamFailed` for its 5xx,
                `UpstreamTimeout` past the deadline, `Unavailable` when it cannot be reached.
        """
        data = None if body is None else orjson.dumps(body)
        async with self.stream(method, path, data=data, headers=headers, params=params) as reply:
            payload = await reply.read()
        try:
            return orjson.loads(payload) if payload else None
        except ValueError as error:
            raise UpstreamFailed(
                f"The {self.name} answered with something that is not JSON; its log has the cause.",
                code=f"{self.name}_failed",
            ) from error

    @contextlib.asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        data: Any = None,
        content_type: str | None = "application/json",
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Call and hand over the open reply, whose status is below 400."""
        sent = {**(headers or {})}
        if request_id := current_request_id():
            sent.setdefault(HEADER, request_id)
        if self.api_key:
            sent["Authorization"] = f"Bearer {self.api_key}"
        if data is not None and content_type:
            sent["Content-Type"] = content_type
        timeout = aiohttp.ClientTimeout(
            total=self.deadlines.total,
            sock_connect=self.deadlines.connect,
            sock_read=self.deadlines.read,
        )
        with self._traced(method) as made, self._translated():
            async with self.session.request(
                method,
                self.base_url + path,
                data=data,
                headers={**sent, **made.headers},
                params=params,
                timeout=timeout,
                allow_redirects=False,
            ) as reply:
                made.note({"http.response.status_code": reply.status})
                if reply.status >= 400:
                    raise self._refusal(reply, await _head(reply.content))
                yield reply

    def _traced(self, method: str) -> contextlib.AbstractContextManager[Span]:
        """Make a span of a call; its path may hold a document's name, and is left out."""

        def describe() -> dict[str, Value]:
            where = urlsplit(self.base_url)
            return {
                "http.request.method": method,
                "peer.service": self.name,
                "server.address": where.hostname or "",
                "server.port": where.port or 0,
            }

        return client_span(f"{method} {self.name}", describe)

    @contextlib.contextmanager
    def _translated(self) -> Any:
        try:
            yield
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError) as error:
            raise Unavailable(
                f"The {self.name} cannot be reached; try again shortly.",
                code=f"{self.name}_unreachable",
            ) from error
        except TimeoutError as error:
            raise UpstreamTimeout(
                f"The {self.name} took too long to answer; try again.",
                code=f"{self.name}_timeout",
            ) from error
        except aiohttp.ClientError as error:
            raise UpstreamFailed(
                f"The connection to the {self.name} broke; try again.",
                code=f"{self.name}_failed",
            ) from error

    def _refusal(self, reply: aiohttp.ClientResponse, payload: bytes) -> ServiceError:
        """Pass a 4xx on as the caller's; a 5xx is ours, and its body goes to the log only."""
        status, wait = reply.status, _retry_after(reply)
        message, code, param = _detail(payload)
        if status < 500 and status not in (401, 403):
            kind = ERRORS_BY_STATUS.get(status, ERRORS_BY_STATUS[400])
            return kind(message, code=code, param=param, retry_after_seconds=wait)
        _log.warning("peer.failed", peer=self.name, status=status, message=message)
        if status == 503:
            return Unavailable(
                f"The {self.name} is not ready; try again shortly.",
                code=f"{self.name}_unavailable",
                retry_after_seconds=wait,
            )
        return UpstreamFailed(
            f"The {self.name} failed with status {status}; its log has the cause.",
            code=f"{self.name}_failed",
        )


async def _head(stream: aiohttp.StreamReader) -> bytes:
    """Read a body up to the limit; a single `read` may return less than there is."""
    body = bytearray()
    while len(body) < MAX_ERROR_BYTES and (piece := await stream.read(MAX_ERROR_BYTES - len(body))):
        body += piece
    return bytes(body)


def _detail(payload: bytes) -> tuple[str, str | None, str | None]:
    """Read message, code and param of an error body; a numeric code only repeats the status."""
    try:
        detail = orjson.loads(payload)["error"]
        message, code, param = detail["message"], detail.get("code"), detail.get("param")
    except (ValueError, KeyError, TypeError, AttributeError):
        return payload[:300].decode("utf-8", "replace"), None, None
    return (
        str(message),
        code if isinstance(code, str) and code else None,
        param if isinstance(param, str) else None,
    )


def _retry_after(reply: aiohttp.ClientResponse) -> float | None:
    given = reply.headers.get("Retry-After", "")
    return float(given) if given.isascii() and given.isdigit() else None
