"""Speaking to vLLM: the only file of the agent that knows its routes.

ServiceError
├── EngineRefused      422   the engine says no, and will say no again
└── EngineTooOld       422   below the version whose run-time LoRA is safe
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp
import orjson

from services.chassis.errors import (
    ServiceError,
    Unavailable,
    Unprocessable,
    UpstreamFailed,
    UpstreamTimeout,
)
from services.chassis.http import Peer

VERSION_FLOOR = (0, 32)
"""Earlier ones can answer a running request with another adapter's weights."""

TOP_LOGPROBS = 20
"""Log-probabilities asked for by place; the most that vLLM gives by default."""

Health = Literal["alive", "dead", "silent"]

Logprobs = dict[str, float]
"""Of one answer's first token: the likeliest tokens and their log-probabilities."""


class EngineRefused(Unprocessable):
    """The engine refused an adapter for good."""

    code = "engine_refused"


class EngineTooOld(Unprocessable):
    """The engine's version is below the floor."""

    code = "engine_too_old"


@dataclass(frozen=True, slots=True)
class Engine:
    """One vLLM server, over a borrowed session."""

    peer: Peer
    base_model: str
    """The name under which it serves the base."""

    async def health(self) -> Health:
        """Ask whether its core lives; a dead core is said by the server, which outlives it."""
        try:
            async with self.peer.stream("GET", "/health"):
                return "alive"
        except Unavailable as error:
            return "dead" if error.code == f"{self.peer.name}_unavailable" else "silent"
        except ServiceError:
            return "silent"

    async def check_version(self) -> str:
        """Read its version.

        Raises:
            EngineTooOld: below the floor.
        """
        version = str((await self.peer.json("GET", "/version"))["version"])
        # A build from source may carry no number at all; its owner knows what it is.
        match = re.match(r"(\d+)\.(\d+)", version)
        if match and (int(match[1]), int(match[2])) < VERSION_FLOOR:
            floor = ".".join(str(part) for part in VERSION_FLOOR)
            raise EngineTooOld(f"The engine is vLLM {version}; run vLLM {floor} or later.")
        return version

    async def base_card(self) -> tuple[str, int]:
        """Read under which name it serves the base, and the longest context that it takes."""
        card = next(card for card in await self._cards() if card["parent"] is None)
        return card["id"], int(card["max_model_len"] or 0)

    async def adapters(self) -> dict[str, str]:
        """List the loaded adapters: name to the path that each was loaded from."""
        return {card["id"]: card["root"] for card in await self._cards() if card["parent"]}

    async def load(self, name: str, path: str) -> None:
        """Load an adapter under a name that is free.

        Raises:
            EngineRefused: when trying again cannot help.
            Unavailable: when it may.
        """
        await self._command("/v1/load_lora_adapter", {"lora_name": name, "lora_path": path})

    async def unload(self, name: str) -> None:
        """Take an adapter's name away; running answers finish on it."""
        await self._command("/v1/unload_lora_adapter", {"lora_name": name})

    async def first_token(self, model: str, question: str, cache_salt: str) -> Logprobs:
        """Generate one token and read what the model thought of it and its rivals."""
        reply = await self.peer.json(
            "POST",
            "/v1/chat/completions",
            body={
                "model": model,
                "messages": [{"role": "user", "content": question}],
                "max_tokens": 1,
                "temperature": 0,
                "logprobs": True,
                "top_logprobs": TOP_LOGPROBS,
                "cache_salt": cache_salt,
            },
        )
        try:
            (place,) = reply["choices"][0]["logprobs"]["content"]
            return {rival["token"]: float(rival["logprob"]) for rival in place["top_logprobs"]}
        except (KeyError, TypeError, ValueError) as error:
            raise UpstreamFailed("The engine answered without log-probabilities.") from error

    async def _cards(self) -> list[dict[str, Any]]:
        return list((await self.peer.json("GET", "/v1/models"))["data"])

    async def _command(self, path: str, body: dict[str, str]) -> None:
        """Send a command, whose reply is bare text.

        vLLM answers 500 to nearly every adapter that it cannot use: only a lost connection and 503
        are worth another attempt.
        """
        try:
            async with self.peer.stream("POST", path, data=orjson.dumps(body)) as reply:
                await reply.read()
        except (Unavailable, UpstreamTimeout):
            raise
        except ServiceError as error:
            if isinstance(error.__cause__, aiohttp.ClientError):
                raise Unavailable("The connection to the engine broke.") from error
            raise EngineRefused(error.message) from error
