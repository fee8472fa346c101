"""Asking a model behind somebody else's OpenAI-compatible endpoint: a teacher, a judge.

EndpointAway       503   no answer for so long that the work stops; it can go on later
EndpointRefused    422   this one request is refused; others may be answered
EndpointUnusable   502   every request would be refused: the key, the model, the credit
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson

from services.chassis.errors import InvalidRequest, Unavailable, Unprocessable, UpstreamFailed

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 60.0
"""Between two tries; an endpoint that names a longer one is waited for as long as it says."""

LARGEST_REPLY = 8 * 1024 * 1024
"""Bytes; a longer reply is no answer."""

_TRANSIENT = (408, 409, 425, 429)
_HOPELESS = ("insufficient_quota", "billing_hard_limit_reached", "model_not_found")
"""Codes that waiting does not mend, whatever their status."""


class EndpointAway(Unavailable):
    """The endpoint gave no answer for too long."""

    code = "endpoint_away"


class EndpointRefused(Unprocessable):
    """The endpoint refused one request, or answered it with something that is no completion."""

    code = "endpoint_refused"


class EndpointUnusable(UpstreamFailed):
    """The endpoint refuses whatever is asked."""

    code = "endpoint_unusable"


class EndpointUrlInvalid(InvalidRequest):
    """What is given as an endpoint's URL is none."""

    code = "endpoint_url_invalid"


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer, as far as it is used."""

    text: str
    refusal: str | None
    """What the model says in place of an answer, where it says so in a field of its own."""
    finish_reason: str
    model: str
    """As the endpoint names what answered."""
    prompt_tokens: int
    cached_tokens: int
    """Part of the prompt's."""
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint over a borrowed session."""

    name: str
    """Stands in error messages: `teacher`, `judge`."""
    base_url: str
    """With the version, as clients take it: `https://host/v1`."""
    session: aiohttp.ClientSession
    api_key: str | None = None
    timeout_seconds: float = 120.0
    """How long one try may take."""
    patience_seconds: float = 600.0
    """How long a request is tried again while the endpoint has no room or cannot be reached."""

    async def complete(self, body: Mapping[str, Any]) -> Completion:
        """Ask for one chat completion; asking again changes nothing.

        Raises:
            EndpointAway: there was no answer within the patience.
            EndpointRefused: this request is refused.
            EndpointUnusable: every request would be.
        """
        deadline, pause = time.monotonic() + self.patience_seconds, FIRST_PAUSE_SECONDS
        while True:
            try:
                return _read(self.name, await self._once(body))
            except _Transient as error:
                wait = pause if error.wait is None else max(error.wait, pause)
                if time.monotonic() + wait > deadline:
                    raise EndpointAway(
                        f"The {self.name} gave no answer for {self.patience_seconds:.0f} s "
                        f"({error}); run it again later, it goes on where it stood."
                    ) from error
            # All that were turned away together must not come back together.
            await asyncio.sleep(wait * (1 + random.random() / 4))  # noqa: S311 - not a secret
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _once(self, body: Mapping[str, Any]) -> Any:
        headers = {"Content-Type": "application/json"}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        try:
            async with self.session.post(
                f"{self.base_url}/chat/completions",
                data=orjson.dumps(body),
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=self.timeout_seconds),
                # A key must not follow to another host.
                allow_redirects=False,
            ) as reply:
                payload = await _bounded(reply.content)
                if reply.status >= 300:
                    raise self._refusal(reply, payload)
                return _decoded(self.name, payload)
        except TimeoutError as error:
            raise _Transient(f"no answer within {self.timeout_seconds:g} s") from error
        except aiohttp.ClientError as error:
            raise _Transient(f"{type(error).__name__}: {error}") from error

    def _refusal(self, reply: aiohttp.ClientResponse, payload: bytes) -> Exception:
        message, code = _detail(payload)
        said = f"status {reply.status}: {message}" if message else f"status {reply.status}"
        if code in _HOPELESS:
            return EndpointUnusable(f"The {self.name} answers nothing more ({said}).")
        if reply.status in (401, 403):
            return EndpointUnusable(
                f"The {self.name} does not take the key ({said}); put a valid one into the "
                "environment variable that is named for it."
            )
        if reply.status in (404, 405) or reply.status < 400:
            return EndpointUnusable(
                f"The {self.name} has no {self.base_url}/chat/completions, or not this model "
                f"({said}); check the URL, which mostly ends in /v1, and the model's name."
            )
        if reply.status in _TRANSIENT or reply.status >= 500:
            return _Transient(said, _retry_after(reply.headers))
        return EndpointRefused(f"The {self.name} refuses a request ({said}).")


class _Transient(Exception):
    def __init__(self, why: str, wait: float | None = None) -> None:
        super().__init__(why)
        self.wait = wait


def endpoint_url(text: str) -> str:
    """Bring an endpoint's URL into one form: no slash at the end, `/v1` where it has no path.

    Raises:
        EndpointUrlInvalid: it is no URL of HTTP, or holds a secret.
    """
    try:
        parts = urlsplit(text.strip())
        host = parts.hostname
    except ValueError as error:
        raise EndpointUrlInvalid(f"{text!r} is no URL; write http://host:port/v1.") from error
    if parts.scheme not in ("http", "https") or not host:
        raise EndpointUrlInvalid(f"{text!r} is no URL; write http://host:port/v1.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise EndpointUrlInvalid(
            f"The URL of {host} holds more than a host and a path; the key comes from an "
            "environment variable."
        )
    path = parts.path.rstrip("/").removesuffix("/chat/completions")
    return f"{parts.scheme}://{parts.netloc}{path or '/v1'}"


async def _bounded(stream: aiohttp.StreamReader) -> bytes:
    body = bytearray()
    while len(body) <= LARGEST_REPLY and (piece := await stream.read(64 * 1024)):
        body += piece
    return bytes(body)


def _decoded(name: str, payload: bytes) -> Any:
    try:
        return orjson.loads(payload)
    except ValueError as error:
        raise EndpointRefused(f"The {name} answered with something that is not JSON.") from error


def _read(name: str, payload: Any) -> Completion:
    """Take an answer out of a reply, whose shape is not ours to trust."""
    try:
        choice = payload["choices"][0]
        message, usage = choice["message"], payload.get("usage") or {}
        content = message.get("content") or ""
        if isinstance(content, list):
            content = "".join(part.get("text", "") for part in content)
        details = usage.get("prompt_tokens_details") or {}
        return Completion(
            text=str(content),
            refusal=message.get("refusal") or None,
            finish_reason=str(choice.get("finish_reason") or "stop"),
            model=str(payload.get("model") or ""),
            prompt_tokens=int(usage.get("prompt_tokens") or 0),
            cached_tokens=int(details.get("cached_tokens") or 0),
            completion_tokens=int(usage.get("completion_tokens") or 0),
        )
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise EndpointRefused(f"The {name} answered with no chat completion.") from error


def _detail(payload: bytes) -> tuple[str, str | None]:
    """Read message and code of an error body, in OpenAI's shape or nearly."""
    try:
        error = orjson.loads(payload)
        error = error.get("error", error)
        message = error if isinstance(error, str) else error.get("message") or error.get("detail")
        code = None if isinstance(error, str) else error.get("code")
    except (ValueError, AttributeError):
        message, code = payload[:300].decode("utf-8", "replace"), None
    line = " ".join(str(message or "").split())[:300]
    return line, code if isinstance(code, str) else None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Read when to come back: seconds, milliseconds in OpenAI's own header, or a date."""
    given = headers.get("Retry-After", "").strip()
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        return max(0.0, float(given))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(given).timestamp() - time.time())
    except ValueError:
        return None
