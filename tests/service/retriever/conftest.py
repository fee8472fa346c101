"""The retriever under test: a fresh one, or one that tests share under tenants of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.service.retriever.retriever import Client, RetrieverUnderTest, retriever_on


@pytest.fixture(scope="package")
def anyio_backend() -> str:
    """Let one retriever serve many tests: creating its index takes a second."""
    return "asyncio"


@pytest.fixture(scope="package")
async def shared_retriever(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[RetrieverUnderTest]:
    """A retriever for every test that minds its own tenant only."""
    async with retriever_on(tmp_path_factory.mktemp("retriever")) as under_test:
        yield under_test


@pytest.fixture
def client(shared_retriever: RetrieverUnderTest) -> Client:
    """A client that acts for a tenant of its own."""
    return shared_retriever.client.acting_for(f"tenant-{uuid4().hex[:8]}")


@pytest.fixture
async def retriever(tmp_path: Path) -> AsyncIterator[RetrieverUnderTest]:
    """A fresh retriever."""
    async with retriever_on(tmp_path) as under_test:
        yield under_test
