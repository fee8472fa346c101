"""A gateway in front of a real retriever, as the official client sees them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import openai
import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel
from sqlalchemy import func, select

from services.gateway.identity import identify
from services.gateway.registry import tables
from tests.fakes.agent import eventually
from tests.fakes.hashing_embedder import HashingEmbedder
from tests.fakes.retriever import API_KEY as FAKE_KEY
from tests.service.gateway.gateway import GatewayUnderTest, gateway_under_test
from tests.service.retriever.retriever import API_KEY, RetrieverUnderTest, retriever_on

assert FAKE_KEY == API_KEY

QUICK = {"poll_seconds": 0.05, "retry_seconds": 0.05, "lease_seconds": 5.0, "attempts": 2}
"""An indexer that looks often, for tests that wait for it."""

_Shape = TypeVar("_Shape", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class KnowledgeStack:
    """The gateway, its retriever, and official clients by key."""

    gateway: GatewayUnderTest
    retriever: RetrieverUnderTest
    clients: contextlib.AsyncExitStack

    @property
    def embedder(self) -> HashingEmbedder:
        """The retriever's embedding model."""
        return self.retriever.embedder

    async def client(self, key: str = "admin") -> AsyncOpenAI:
        """The official client with one of the installation's keys; it never retries."""
        return await self.clients.enter_async_context(
            AsyncOpenAI(
                base_url=f"{self.gateway.base_url}/v1",
                api_key=self.gateway.secrets[key],
                max_retries=0,
            )
        )

    def key_id(self, key: str) -> str:
        """The id of one of the installation's keys."""
        return identify(self.gateway.secrets[key], self.gateway.resources.snapshot, 0.0).key_id

    async def settled(self) -> None:
        """Wait until no indexer has anything left to do."""
        stores, files = tables.vector_stores, tables.vector_store_files

        async def nothing_left() -> bool:
            async with self.gateway.resources.registry.database.read() as connection:
                left = await connection.scalar(select(func.count()).where(files.c.todo != "none"))
                removed = select(func.count()).where(stores.c.removed_at.is_not(None))
                return left == 0 and await connection.scalar(removed) == 0

        await eventually(nothing_left, seconds=20)

    async def writing(self) -> None:
        """Wait until a document is held up in the retriever."""
        await eventually(self.retriever.resources.catalogue.writes.unfinished, seconds=20)

    async def postponed(self, *, times: int) -> None:
        """Wait until files were put off so often."""

        async def often() -> bool:
            page = (await self.gateway.client(None).get("/metrics")).body
            name = 'inkstone_vector_store_files_total{outcome="postponed"} '
            counts = [line for line in page.splitlines() if line.startswith(name)]
            return bool(counts) and float(counts[0].removeprefix(name)) >= times

        await eventually(often, seconds=20)


def strict(shape: type[_Shape], reply: BaseModel) -> _Shape:
    """Validate a reply as the client's own type says, without the leniency that it reads with."""
    assert isinstance(reply, shape)
    return shape.model_validate(reply.model_dump(mode="python", warnings="error"), strict=True)


async def refusal(call: Awaitable[Any]) -> tuple[int, str]:
    """The status and the code of a call that is refused."""
    with pytest.raises(openai.APIStatusError) as caught:
        await call
    return caught.value.status_code, str(caught.value.code)


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
        yield KnowledgeStack(gateway, retriever, clients)
