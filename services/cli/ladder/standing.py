"""Assistants that a ladder puts up for a rung, and takes down when the rung is measured."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import quote

from services.chassis.errors import NotFound, Unavailable, UpstreamFailed, UpstreamTimeout
from services.cli.failures import CommandError
from services.cli.gateway import Gateway
from services.contracts.assistants import AssistantWrite, Profile, RetrievalPolicy

PATIENCE_SECONDS = 300.0
"""How long replicas may take to load an adapter, and gateways to know a new assistant."""

_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Standing:
    """A temporary assistant."""

    gateway: Gateway
    name: str
    profile: Profile
    retrieval: RetrievalPolicy | None

    async def bind(self, adapter: str | None = None) -> None:
        """Let it serve, with an adapter version or on the base; returns once it is served.

        Raises:
            CommandError: no replica could take it for too long.
            ServiceError: it cannot be served.
        """
        write = AssistantWrite(
            profile=self.profile,
            retrieval=self.retrieval,
            adapter=adapter,
            description="A rung of `inkstone ladder run`; it goes when the rung is measured.",
        )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (await self._is_put(write, deadline) and await self._is_seen()):
            if time.monotonic() > deadline:
                raise CommandError(
                    f"The gateway does not show {self.name} after {PATIENCE_SECONDS:.0f} s; run "
                    "the command again, it goes on where it stood."
                )
            await asyncio.sleep(_POLL_SECONDS)

    async def _is_put(self, write: AssistantWrite, deadline: float) -> bool:
        """Bind it; replicas that are away or slow to load are waited for."""
        try:
            await self.gateway.put_assistant(self.name, write)
        except (Unavailable, UpstreamTimeout):
            if time.monotonic() > deadline:
                raise
            return False
        return True

    async def _is_seen(self) -> bool:
        try:
            await self.gateway.peer.json("GET", f"/v1/models/{quote(self.name)}")
        except NotFound:
            return False
        return True

    async def take_down(self) -> None:
        """Take it out of service; one that is gone is no fault, nor a gateway that is away.

        What ended the rung matters more, and the next run takes it down.
        """
        with contextlib.suppress(NotFound, Unavailable, UpstreamFailed, UpstreamTimeout):
            await self.gateway.peer.json("DELETE", f"/admin/assistants/{quote(self.name)}")


@asynccontextmanager
async def standing(
    gateway: Gateway, name: str, profile: Profile, retrieval: RetrievalPolicy | None
) -> AsyncIterator[Standing]:
    """Have a temporary assistant until the block ends, however it ends."""
    made = Standing(gateway, name, profile, retrieval)
    try:
        await made.bind()
        yield made
    finally:
        await made.take_down()
