"""The retriever under test: a fresh one, or one that tests share under tenants of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests import postgres
from tests.fakes.qdrant import qdrant_server
from tests.service.retriever.retriever import Client, RetrieverUnderTest, Stores, retriever_on


@pytest.fixture(scope="package")
def anyio_backend() -> str:
    """Let one retriever serve many tests: creating its index takes a second."""
    return "asyncio"


POSTGRES_EVERY_TIME = ("test_documents", "test_ingestions", "test_syncs")
"""Tests whose statements cover the catalogue; the others run on Postgres in the long campaigns."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the quick run quick: a second database doubles the tests of the retriever."""
    postgres.leave_to_the_campaigns(items, Path(__file__).parent, POSTGRES_EVERY_TIME)


@pytest.fixture(scope="session")
def qdrant_url() -> Iterator[str]:
    """A stand-in of a Qdrant server."""
    with qdrant_server() as url:
        yield url


@pytest.fixture
async def shared(postgres_url: str, qdrant_url: str, tmp_path: Path) -> AsyncIterator[Stores]:
    """What several retrievers may share."""
    async with postgres.fresh_database(postgres_url) as url:
        yield Stores(url, qdrant_url, tmp_path / "spool")


@pytest.fixture(
    scope="package", params=["sqlite", "postgres"] if postgres.AVAILABLE else ["sqlite"]
)
async def shared_retriever(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RetrieverUnderTest]:
    """A retriever for every test that minds its own tenant only."""
    folder = tmp_path_factory.mktemp("retriever")
    if request.param == "sqlite":
        async with retriever_on(folder) as under_test:
            yield under_test
        return
    server = request.getfixturevalue("postgres_url")
    async with postgres.fresh_database(server) as url:
        stores = Stores(url, request.getfixturevalue("qdrant_url"), folder / "spool")
        async with retriever_on(folder, **stores.settings) as under_test:
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
