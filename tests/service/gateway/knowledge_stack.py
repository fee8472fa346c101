"""A gateway in front of a real retriever, as the official client sees them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openai import AsyncOpenAI

from tests.fakes.hashing_embedder import HashingEmbedder
from tests.fakes.retriever import API_KEY as FAKE_KEY
from tests.service.gateway.gateway import GatewayUnderTest, gateway_under_test
from tests.service.retriever.retriever import API_KEY, retriever_on

assert FAKE_KEY == API_KEY

QUICK = {"poll_seconds": 0.05, "retry_seconds": 0.05, "lease_seconds": 5.0}
"""An indexer that looks often, for tests that wait for it."""


@dataclass(frozen=True, slots=True)
class KnowledgeStack:
    """The gateway, its retriever, and official clients by key."""

    gateway: GatewayUnderTest
    embedder: HashingEmbedder
    clients: contextlib.AsyncExitStack

    async def client(self, key: str = "admin") -> AsyncOpenAI:
        """The official client with one of the installation's keys; it never retries."""
        return await self.clients.enter_async_context(
            AsyncOpenAI(
                base_url=f"{self.gateway.base_url}/v1",
                api_key=self.gateway.secrets[key],
                max_retries=0,
            )
        )


@contextlib.asynccontextmanager
async def knowledge_stack(home: Path, **settings: Any) -> AsyncIterator[KnowledgeStack]:
    """Serve both; the same folder again is a restart of both."""
    settings = {"vector_stores": QUICK, **settings}
    async with contextlib.AsyncExitStack() as stack:
        retriever = await stack.enter_async_context(retriever_on(home / "retriever"))
        gateway = await stack.enter_async_context(
            gateway_under_test(home, retriever_url=retriever.client.url, **settings)
        )
        clients = await stack.enter_async_context(contextlib.AsyncExitStack())
        yield KnowledgeStack(gateway, retriever.embedder, clients)
