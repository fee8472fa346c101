"""Which gateway a command speaks to, and with which key."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from openai import AsyncOpenAI

from services.chassis.errors import Unauthenticated
from services.chassis.http import Deadlines, Peer, open_session
from services.cli.gateway import Gateway

UPLOAD_SECONDS = 300.0
"""How long one call of a command may take; uploads and warming an adapter need minutes."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A gateway's URL and a key."""

    url: str
    key: str

    @asynccontextmanager
    async def gateway(self) -> AsyncIterator[Gateway]:
        """Open the admin and knowledge routes."""
        async with open_session(connections=16) as session:
            deadlines = Deadlines(read=UPLOAD_SECONDS, total=UPLOAD_SECONDS)
            yield Gateway(Peer("gateway", self.url, session, self.key, deadlines))

    def openai(self) -> AsyncOpenAI:
        """Open the chat endpoint with the official client."""
        return AsyncOpenAI(base_url=f"{self.url}/v1", api_key=self.key)


def connect(url: str, key: str | None, home: Path) -> Connection:
    """Take the given key, or the local stack's admin key.

    Raises:
        Unauthenticated: when there is neither.
    """
    file = home / "keys" / "admin.key"
    if key is None and not file.exists():
        raise Unauthenticated(
            f"No key: set INKSTONE_API_KEY, or start the local stack, which writes {file}."
        )
    return Connection(url.rstrip("/"), key or file.read_text().strip())
